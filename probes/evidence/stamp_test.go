package evidence

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// controlOf is a control message of a socket.
func controlOf(kind int32, data ...byte) []byte {
	control := make([]byte, unix.CmsgSpace(len(data)))
	binary.NativeEndian.PutUint64(control, uint64(unix.CmsgLen(len(data)))) // of 64 bits
	binary.NativeEndian.PutUint32(control[8:], unix.SOL_SOCKET)
	binary.NativeEndian.PutUint32(control[12:], uint32(kind))
	copy(control[unix.CmsgLen(0):], data)
	return control
}

func TestStampOfAPacket(t *testing.T) {
	t.Parallel()
	stamp := binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, 1_790_000_000), 123)
	want := time.Unix(1_790_000_000, 123)
	for name, c := range map[string]struct {
		control []byte
		ok      bool
	}{
		"a stamp":            {controlOf(unix.SCM_TIMESTAMPNS, stamp...), true},
		"one after another":  {append(controlOf(unix.SO_RXQ_OVFL, 0, 0, 0, 0), controlOf(unix.SCM_TIMESTAMPNS, stamp...)...), true},
		"none":               {nil, false},
		"another message":    {controlOf(unix.SO_RXQ_OVFL, 0, 0, 0, 1), false},
		"half a stamp":       {controlOf(unix.SCM_TIMESTAMPNS, stamp[:8]...), false},
		"a message cut off":  {controlOf(unix.SCM_TIMESTAMPNS, stamp...)[:20], false},
		"less than a header": {[]byte{1, 2, 3}, false},
	} {
		at, ok := stampOf(c.control)
		if ok != c.ok || ok && !at.Equal(want) {
			t.Errorf("%s: %s, %v", name, at, ok)
		}
	}
}

func TestFrames(t *testing.T) {
	t.Parallel()
	before := time.Now()
	from := &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IPV6), Ifindex: 3, Pkttype: unix.PACKET_OUTGOING, Addr: [8]byte{2, 0, 0, 0, 0, 1, 9, 9}}
	f := newFrame(from, []byte("data"), nil)
	if f.index != 3 || f.direction != Out || f.foreign || f.protocol != unix.ETH_P_IPV6 || f.hardware != [6]byte{2, 0, 0, 0, 0, 1} || string(f.data) != "data" {
		t.Errorf("%+v", f)
	}
	if f.at.Before(before) || f.at.After(time.Now()) {
		t.Errorf("without a stamp it is of %s", f.at)
	}
	stamp := binary.NativeEndian.AppendUint64(make([]byte, 8), 5)
	for kind, want := range map[uint8]frame{
		unix.PACKET_HOST: {direction: In}, unix.PACKET_BROADCAST: {direction: In}, unix.PACKET_OTHERHOST: {direction: In, foreign: true},
	} {
		f := newFrame(&unix.SockaddrLinklayer{Pkttype: kind}, nil, controlOf(unix.SCM_TIMESTAMPNS, stamp...))
		if f.direction != want.direction || f.foreign != want.foreign || !f.at.Equal(time.Unix(0, 5)) {
			t.Errorf("kind %d: %+v", kind, f)
		}
	}
}

func htons(n uint16) uint16 { return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n)) }

// The kernel stamps packets when it gets them, from the first on: the machine may
// have no other socket that wants stamps. So a packet's way is in order at once,
// whichever tap is read first.
func TestFirstPacketsAreInOrder(t *testing.T) {
	network := topo.New("wire")
	wire := network.Wire("lan", "10.0.1.0/24")
	network.Host("client", wire)
	network.Host("server", wire)
	lab := harness.Up(t, network)
	server := lab.Node("server").Addr()
	for range 20 {
		closing.Wait() // no tap is left that wants stamps
		watch, err := Open(lab.Nodes(), Flow{Protocol: UDP, Port: 53})
		if err != nil {
			t.Fatal(err)
		}
		trail := watch.Follow(Flow{From: "client", To: "server", Addr: server, Protocol: UDP, Port: 53})
		watch.hearing.Lock()
		conn, err := lab.Node("client").Dial(t.Context(), "udp", netip.AddrPortFrom(server, 53))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(request(trail.Flow.Nonce)); err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Read(make([]byte, 1)) // it is refused
		sent := time.Now()
		_ = conn.Close()
		watch.hearing.Unlock()
		timeline := watch.Timeline(trail)
		if late := slices.ContainsFunc(timeline, func(s Sighting) bool { return s.At.After(sent) }); late || len(timeline) != 4 {
			t.Errorf("stamped when read, or not all:\n%s", timeline)
		}
		if err := watch.Close(); err != nil {
			t.Error(err)
		}
	}
}
