package watch

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// ears is a watch that hears what a test tells it.
type ears struct {
	*Watch
	lab     *harness.Lab
	taps    map[string]*tap
	tracers map[string]*tracer
	us      int
}

func newEars(t *testing.T) *ears {
	t.Helper()
	network := topo.New("line")
	wire := network.Wire("lan", "10.0.1.0/24")
	dmz := network.Wire("dmz", "10.0.2.0/24")
	network.Host("client", wire)
	network.Host("server", dmz)
	network.Router("fw", wire, dmz)
	lab := harness.Up(t, network)
	watch, err := Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	e := &ears{Watch: watch, lab: lab, taps: map[string]*tap{}, tracers: map[string]*tracer{}}
	for _, node := range lab.Nodes() {
		e.nodes[node.Name()] = node
		e.taps[node.Name()] = &tap{node: node, names: map[int]string{2: "lan", 3: "dmz"}, ports: map[int]bool{9: true}}
		e.tracers[node.Name()] = &tracer{node: node}
	}
	return e
}

func (e *ears) frame(node string, index int, direction evidence.Direction, data []byte) {
	e.us++
	e.hearFrame(e.taps[node], frame{at: at(e.us, "", "", 0, 0, "").At, index: index, direction: direction, protocol: unix.ETH_P_IP, data: data})
}

// event is a rule's, with the packet or without.
func (e *ears) event(node string, id uint32, handle uint64, verdict int32, data []byte) {
	e.us++
	event := traceEvent{at: at(e.us, "", "", 0, 0, "").At, kind: traceRule, id: id, handle: handle, verdict: verdict, policy: none, table: "filter", chain: "forward"}
	if data != nil {
		event.packet = parsed(data)
	}
	e.hearEvent(e.tracers[node], event)
}

// said is the timeline, unread rules and all.
func (e *ears) said(t *Trail) (all []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	timeline := timelineOf(slices.Clone(t.timeline))
	order(timeline)
	for _, s := range timeline {
		text := placeOf(s) + " " + s.Role.String()
		if s.Dropped() {
			text += " dropped"
		}
		all = append(all, text)
	}
	return all
}

func (e *ears) want(t *testing.T, trail *Trail, want ...string) {
	t.Helper()
	if got := e.said(trail); !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// A connection's packets are known when its first one was read at the asker's own
// tap. Others may be read before; they are not lost.
func TestHearingBeforeTheFirstPacket(t *testing.T) {
	t.Parallel()
	e := newEars(t)
	syn, reset := tcp(asker, inner, wire.SYN, 77, 0), tcp(inner, asker, wire.RST|wire.ACK, 0, 78)
	trail := e.Follow(wire.Flow{From: "client", To: "server", Addr: server4, Protocol: wire.TCP, Port: 80, SourcePort: 40000})
	e.frame("fw", 2, evidence.In, syn)
	e.event("fw", 5, 7, -1, syn)                                      // a rule that counts, with the headers
	e.event("fw", 5, 8, 0, nil)                                       // the one that drops
	e.frame("fw", 2, evidence.Out, reset)                             // which says so
	e.frame("fw", 2, evidence.In, tcp(asker, inner, wire.SYN, 99, 0)) // somebody else's
	e.frame("fw", 2, evidence.Out, unreachable(fwLan4, syn))          // and an error about it
	e.event("fw", 6, 8, 0, tcp(asker, inner, wire.SYN, 99, 0))        // the other's
	e.want(t, trail)
	e.frame("client", 2, evidence.Out, syn)
	e.want(t, trail, "fw/lan in request", "fw request dropped", "fw/lan out refusal", "fw/lan out refusal", "client/lan out request")
	e.frame("client", 2, evidence.In, reset)
	e.event("fw", 6, 8, 0, nil)
	if got := e.said(trail); len(got) != 6 || got[5] != "client/lan in refusal" {
		t.Errorf("heard %q", got)
	}
	if len(e.early) != 0 {
		t.Errorf("%d packets are kept when nobody waits for one", len(e.early))
	}
}

func TestHearingMoreThanCanBeKept(t *testing.T) {
	t.Parallel()
	e := newEars(t)
	e.Follow(wire.Flow{From: "client", To: "server", Addr: server4, Protocol: wire.TCP, Port: 80, SourcePort: 40000})
	e.late = mostLate - 1
	e.frame("fw", 2, evidence.In, tcp(ap(client4, 1000), inner, wire.SYN, 1, 0))
	if lost := e.losses(); lost != "" {
		t.Error(lost)
	}
	e.frame("fw", 2, evidence.In, tcp(ap(client4, 1000), inner, wire.SYN, 2, 0))
	if lost := e.losses(); lost != "more connections were opened than the watch could keep apart" {
		t.Error(lost)
	}
}

// A packet's number under trace is used again; its headers say whose it is now.
func TestHearingNumbersAgain(t *testing.T) {
	t.Parallel()
	e := newEars(t)
	one, two := e.Follow(wire.Flow{From: "client", Addr: server4, Protocol: wire.UDP, Port: 80}), e.Follow(wire.Flow{From: "client", Addr: server4, Protocol: wire.UDP, Port: 80})
	e.event("fw", 5, 7, -1, udp(asker, inner, request(one.Flow.Nonce)))
	e.event("fw", 5, 7, -1, udp(asker, inner, request(two.Flow.Nonce)))
	e.event("fw", 5, 8, 0, nil)
	e.event("fw", 5, 7, -1, udp(asker, inner, []byte("nobody's")))
	e.event("fw", 5, 8, 0, nil)
	e.event("server", 5, 8, 0, nil) // another namespace's numbers are its own
	e.want(t, one)
	e.want(t, two, "fw request dropped")
}

func TestHearingTranslation(t *testing.T) {
	t.Parallel()
	e := newEars(t)
	trail := e.Follow(wire.Flow{From: "client", Addr: public.Addr(), Protocol: wire.UDP, Port: 8080})
	asks := request(trail.Flow.Nonce)
	e.frame("fw", 2, evidence.In, udp(asker, public, asks))
	e.event("fw", 5, 7, 1, udp(asker, public, asks))
	e.event("fw", 5, 9, -1, udp(asker, inner, asks)) // the next chain has it with other addresses
	e.event("fw", 5, 9, -1, udp(asker, inner, asks))
	e.event("fw", 5, 10, 0, nil)
	e.want(t, trail, "fw/lan in request", "fw request", "fw request dropped")
	timeline := trail.timeline
	if last := timeline[len(timeline)-1]; last.Destination != inner.Addr() {
		t.Errorf("dropped on its way to %s", last.Destination)
	}
}

// A frame to another host's MAC is foreign, but where a bridge's port has it.
func TestHearingForeignFrames(t *testing.T) {
	t.Parallel()
	e := newEars(t)
	trail := e.Follow(wire.Flow{From: "client", Addr: server4, Protocol: wire.UDP, Port: 80})
	for _, index := range []int{2, 9} {
		e.hearFrame(e.taps["fw"], frame{index: index, direction: evidence.In, foreign: true, data: udp(asker, inner, request(trail.Flow.Nonce))})
	}
	if got := trail.timeline; len(got) != 2 || !got[0].Foreign || got[1].Foreign {
		t.Errorf("heard\n%s", timelineOf(got))
	}
	e.hearFrame(e.taps["fw"], frame{index: 2, direction: evidence.In, data: []byte{0, 1, 8, 0, 6, 4, 0, 1}}) // ARP
	if len(trail.timeline) != 2 {
		t.Errorf("heard\n%s", timelineOf(trail.timeline))
	}
}

// A rule is read once it is to be told, however many are heard of meanwhile: no
// timeline has one that is unread.
func TestTimelinesHaveEveryRule(t *testing.T) {
	t.Parallel()
	e := newEars(t)
	trail := e.Follow(wire.Flow{From: "client", Addr: server4, Protocol: wire.UDP, Port: 80})
	done := make(chan bool)
	go func() {
		defer close(done)
		for id := range uint32(200) {
			e.event("fw", id, 1, 0, udp(asker, inner, request(trail.Flow.Nonce)))
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		told := len(e.Timeline(trail))
		e.mu.Lock()
		unread := slices.ContainsFunc(trail.timeline[:told], func(s sighting) bool { return s.event != nil })
		e.mu.Unlock()
		if unread {
			t.Fatal("a rule was not read")
		}
	}
}

func TestWatchOfNoNodes(t *testing.T) {
	t.Parallel()
	watch, err := Open(nil, wire.Flow{Protocol: wire.ICMP})
	if err != nil {
		t.Fatal(err)
	}
	trail := watch.Follow(wire.Flow{From: "client", Addr: netip.MustParseAddr("10.0.1.1"), Protocol: wire.ICMP})
	if c := watch.Explain(trail, verdict.Heard{}); c.Kind != evidence.Unknown || c.Word() != "unknown@client" {
		t.Error(c)
	}
	if err := watch.Close(); err != nil {
		t.Error(err)
	}
}
