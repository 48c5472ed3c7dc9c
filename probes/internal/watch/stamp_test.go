package watch

import (
	"encoding/binary"
	"net/netip"
	"runtime"
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
		at, ok := StampOf(c.control)
		if ok != c.ok || ok && !at.Equal(want) {
			t.Errorf("%s: %s, %v", name, at, ok)
		}
	}
}

func TestFrames(t *testing.T) {
	t.Parallel()
	stamp := binary.NativeEndian.AppendUint64(make([]byte, 8), 5)
	if at, tag := toldOf(controlOf(unix.SCM_TIMESTAMPNS, stamp...)); tag != 0 || !at.Equal(time.Unix(0, 5)) {
		t.Error(at)
	}
	before := time.Now()
	for _, control := range [][]byte{nil, {1, 2}, controlOf(unix.SO_RXQ_OVFL, make([]byte, 16)...)} {
		if at, _ := toldOf(control); at.Before(before) || at.After(time.Now()) {
			t.Errorf("without a stamp it is of %s", at)
		}
	}
	for kind, want := range map[uint8]frame{unix.PACKET_HOST: {}, unix.PACKET_BROADCAST: {}, unix.PACKET_OTHERHOST: {}, unix.PACKET_OUTGOING: {}} {
		want.kind = kind
		if want.out() != (kind == unix.PACKET_OUTGOING) || want.foreign() != (kind == unix.PACKET_OTHERHOST) {
			t.Errorf("kind %d: out %v, foreign %v", kind, want.out(), want.foreign())
		}
	}
}

// The kernel stamps packets when it gets them, from the first on: the machine may
// have no other socket that wants stamps. So a packet's way is in order at once,
// whichever tap is read first.
func TestFirstPacketsAreInOrder(t *testing.T) {
	for range 10 {
		for len(closing) > 0 { // no tap is left that wants stamps
			runtime.Gosched()
		}
		firstPacket(t)
	}
}

func firstPacket(t *testing.T) {
	t.Helper()
	network := topo.New("wire")
	lan := network.Wire("lan", "10.0.1.0/24")
	network.Host("client", lan)
	network.Host("server", lan)
	lab := harness.Up(t, network)
	defer lab.Down()
	server := netip.AddrPortFrom(lab.Node("server").Addr(), 53)
	listener, err := lab.Node("server").ListenPacket(t.Context(), "udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	watch, err := Of(lab)
	if err != nil {
		t.Fatal(err)
	}
	trail, err := watch.Follow(wire.Flow{From: "client", To: "server", Addr: server.Addr(), Protocol: wire.UDP, Port: server.Port()})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := lab.Node("client").Dial(t.Context(), "udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = conn.Write(ask(trail.Flow.Nonce))
	if err == nil {
		err = listener.SetReadDeadline(time.Now().Add(20 * time.Second))
	}
	if err == nil {
		_, _, err = listener.ReadFrom(make([]byte, 64))
	}
	sent := time.Now()
	if err != nil {
		t.Fatal(err)
	}
	timeline := watch.Timeline(trail)
	if late := slices.ContainsFunc(timeline, func(s evidence.Sighting) bool { return s.At.After(sent) }); late || len(timeline) != 2 {
		t.Errorf("stamped when read, or not all:\n%s", timeline)
	}
}
