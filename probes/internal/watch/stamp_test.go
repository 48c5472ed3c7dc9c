package watch

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
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
	if f.index != 3 || f.direction != evidence.Out || f.foreign || f.protocol != unix.ETH_P_IPV6 || f.hardware != [6]byte{2, 0, 0, 0, 0, 1} || string(f.data) != "data" {
		t.Errorf("%+v", f)
	}
	if f.at.Before(before) || f.at.After(time.Now()) {
		t.Errorf("without a stamp it is of %s", f.at)
	}
	stamp := binary.NativeEndian.AppendUint64(make([]byte, 8), 5)
	for kind, want := range map[uint8]frame{
		unix.PACKET_HOST: {direction: evidence.In}, unix.PACKET_BROADCAST: {direction: evidence.In}, unix.PACKET_OTHERHOST: {direction: evidence.In, foreign: true},
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
	server := netip.AddrPortFrom(lab.Node("server").Addr(), 53)
	listener, err := lab.Node("server").ListenPacket(t.Context(), "udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for range 20 {
		closing.Wait() // no tap is left that wants stamps
		firstPacket(t, lab, server, listener)
	}
}

func firstPacket(t *testing.T, lab *harness.Lab, server netip.AddrPort, listener net.PacketConn) {
	t.Helper()
	flow := wire.Flow{From: "client", To: "server", Addr: server.Addr(), Protocol: wire.UDP, Port: server.Port()}
	watch, err := Open(lab.Nodes(), flow)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	trail := watch.Follow(flow)
	conn, err := lab.Node("client").Dial(t.Context(), "udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	watch.hearing.Lock() // nothing is read before it has all passed
	_, err = conn.Write(request(trail.Flow.Nonce))
	if err == nil {
		err = listener.SetReadDeadline(time.Now().Add(20 * time.Second))
	}
	if err == nil {
		_, _, err = listener.ReadFrom(make([]byte, 64))
	}
	sent := time.Now()
	watch.hearing.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	timeline := watch.Timeline(trail)
	if late := slices.ContainsFunc(timeline, func(s evidence.Sighting) bool { return s.At.After(sent) }); late || len(timeline) != 2 {
		t.Errorf("stamped when read, or not all:\n%s", timeline)
	}
}
