package probes_test

import (
	"bytes"
	"net"
	"os"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// shoutsAt is a plain service of UDP-Lite that sends back in capitals what it reads.
func shoutsAt(t *testing.T, node *harness.Node, port int) {
	t.Helper()
	var file *os.File
	err := node.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDPLITE)
		if err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), "udplite")
		return unix.Bind(fd, &unix.SockaddrInet4{Port: port})
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.FilePacketConn(file)
	if err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		for buf := make([]byte, 512); ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(bytes.ToUpper(buf[:n]), from)
		}
	}()
}

// UDP-Lite does all that UDP does: it is streamed, kept, sent in fragments, and has words.
func TestUDPLiteIsAskedInEveryWay(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.UDPLite)
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	lite := probes.UDPLite(53).Within(long)
	probes.Serve(t, server, lite)
	g := gomega.NewWithT(t)
	g.Expect(client).To(probes.Reach(server, lite, lite.Size(4000).Fragmented()))
	shoutsAt(t, server, 81)
	g.Expect(client).To(probes.Reach(server4, probes.UDPLite(81).Within(long).Send("hello").Await("HELLO")))

	for _, f := range streamed(t, client, server, lite, nothing) {
		if f.Sent < 20 || f.Arrived != f.Sent || f.Node != "server" {
			t.Errorf("%s", f)
		}
	}
	conn, err := probes.Connect(t.Context(), client, server, lite)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	for range 2 {
		g.Expect(conn.Watch(t.Context())).To(probes.Reach(server, lite))
	}
	conn.Close()
	g.Expect(probes.WatchSurvey(t.Context(), lab, lite)).To(gomega.HaveField("String()", gomega.ContainSubstring("ok")))
}
