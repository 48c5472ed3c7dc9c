package probes

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// flowOf is a flow of a packet every 10 ms, each taken by the kernel within 1 ms: x is one that
// was lost, and any digit how many ms after that one arrived.
func flowOf(fates string) Flow {
	start := time.Unix(1000, 0)
	var f Flow
	for i, fate := range fates {
		sent := start.Add(time.Duration(i) * 10 * time.Millisecond)
		p := FlowPacket{Sent: sent, gone: sent.Add(time.Millisecond)}
		if fate != 'x' {
			p.Arrived = p.gone.Add(time.Duration(fate-'0') * time.Millisecond)
		}
		f.Packets = append(f.Packets, p)
	}
	return f
}

func TestSpansOfAFlow(t *testing.T) {
	const ms = time.Millisecond
	for fates, want := range map[string]struct{ open, closed Span }{
		"0000":     {Span{4, 29 * ms, 31 * ms, true}, Span{0, 0, 11 * ms, false}},
		"xxxx":     {Span{0, 0, 11 * ms, false}, Span{4, 29 * ms, 31 * ms, true}},
		"0xx0":     {Span{1, 0, 11 * ms, true}, Span{2, 9 * ms, 31 * ms, false}},
		"x000x":    {Span{3, 19 * ms, 41 * ms, false}, Span{1, 0, 11 * ms, true}},
		"xx00xx":   {Span{2, 9 * ms, 31 * ms, false}, Span{2, 9 * ms, 21 * ms, true}},
		"0x0xxx0":  {Span{1, 0, 21 * ms, true}, Span{3, 19 * ms, 41 * ms, false}},
		"x5x0x":    {Span{1, 0, 26 * ms, false}, Span{1, 0, 21 * ms, true}}, // one that is lost may be as slow
		"5xx00":    {Span{2, 9 * ms, 21 * ms, true}, Span{2, 4 * ms, 31 * ms, false}},
		"0":        {Span{1, 0, ms, true}, Span{}},
		"":         {},
		"0x0000xx": {Span{4, 29 * ms, 51 * ms, true}, Span{2, 9 * ms, 21 * ms, true}},
	} {
		f := flowOf(fates)
		if open, closed := f.Open(), f.Closed(); open != want.open || closed != want.closed {
			t.Errorf("%q: open %+v, closed %+v; want %+v", fates, open, closed, want)
		}
	}
}

func TestOrderOfAFlow(t *testing.T) {
	node := &harness.Node{}
	for name, c := range map[string]struct {
		heard                      []uint32
		arrived, reordered, copies int
	}{
		"in order":       {[]uint32{0, 1, 2, 3}, 4, 0, 0},
		"one late":       {[]uint32{1, 2, 0, 3}, 4, 1, 0},
		"two late":       {[]uint32{3, 0, 1, 2}, 4, 3, 0},
		"twice":          {[]uint32{0, 0, 1, 3, 1}, 3, 0, 2},
		"none":           {nil, 0, 0, 0},
		"never sent":     {[]uint32{0, 9}, 1, 0, 0},
		"lost in middle": {[]uint32{0, 3}, 2, 0, 0},
	} {
		f := flowOf("xxxx")
		for _, number := range c.heard {
			f.heard = append(f.heard, delivery{number, node, f.Packets[0].Sent})
		}
		f = f.at(nil)
		if f.Arrived != c.arrived || f.Reordered != c.reordered || f.Copies != c.copies || f.Lost != 4-c.arrived || f.Sent != 4 {
			t.Errorf("%s: %s", name, f)
		}
		if other := f.At(nil); other.Arrived != 0 || other.Node != "no node" {
			t.Errorf("%s: %s", name, other)
		}
	}
}

func TestClockThatIsSet(t *testing.T) {
	for byClock, isSet := range map[time.Duration]bool{
		10 * time.Second: false, 10*time.Second + 5*time.Millisecond: false, // slewed
		10*time.Second + time.Minute: true, 9 * time.Second: true, -time.Hour: true,
	} {
		if err := clockSet(10*time.Second, byClock); (err != nil) != isSet {
			t.Errorf("%s: %v", byClock, err)
		}
	}
}

// An ear that had no room for a packet says so, as it would stand for lost.
func TestAnEarThatOverflows(t *testing.T) {
	t.Parallel()
	network := topo.New("one")
	network.Host("node", network.Switch("lan", "10.0.1.0/24"))
	node := harness.Up(t, network).Node("node")
	s := &stream{probe: UDP(7), id: [streamID]byte{1, 2, 3, 4, 5, 6, 7, 8}}
	if err := node.Do(func() error {
		fd, err := openEar(s.probe, s.id, false)
		if err != nil {
			return err
		}
		sock, err := polled(fd)
		s.ears = append(s.ears, &ear{socket: sock, node: node})
		return errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1))
	}); err != nil {
		t.Fatal(err)
	}
	defer s.ears[0].close()
	conn, err := node.Dial(t.Context(), "udp", netip.MustParseAddrPort("10.0.1.1:7"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i, payload := range [][]byte{[]byte("another's packet"), append(s.id[:], make([]byte, 48)...)} {
		for range 100 {
			_, _ = conn.Write(payload) // that nobody listens is told to every second
		}
		if err := s.deaf(); (err != nil) != (i == 1) {
			t.Errorf("%s: %v", payload, err)
		}
	}
}
