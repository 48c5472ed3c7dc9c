package probes_test

import (
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"golang.org/x/sys/unix"
)

// A plain raw socket sees that a probe of another protocol has what was chosen, as others have.
func TestAProbeOfAnotherProtocolIsSentAsItSays(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	var fd int
	err := server.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 253)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20}); err != nil {
		t.Fatal(err)
	}
	_ = ask(t, client, server.On("dmz").Addrs()[0], probes.Protocol(253).TTL(9).DSCP(46).Within(100*time.Millisecond))
	packet := make([]byte, 200)
	if n, _, err := unix.Recvfrom(fd, packet, 0); err != nil || n < 20 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	const tos, ttl = 1, 8 // RFC 791
	if packet[tos] != 46<<2 || packet[ttl] != 8 {
		t.Errorf("type of service %#x, TTL %d", packet[tos], packet[ttl])
	}
}
