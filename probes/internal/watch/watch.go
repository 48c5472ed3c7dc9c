package watch

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

// Watch follows probes through nodes: a tap in each, and where a node has nftables
// rules a trace of what they do. Close takes all of it away.
type Watch struct {
	nodes   map[string]*harness.Node
	mark    wire.Mark
	taps    []*tap
	tracers []*tracer
	legacy  []*legacyTracer
	reading sync.WaitGroup
	hearing sync.RWMutex // held by readers between taking something and having heard it
	plan    wiring

	mu      sync.Mutex
	trails  book
	traced  map[traceID]*tracedPacket
	early   map[uint32][]func() // what was heard before the flow's own first packet, by sequence number
	late    int                 // how often something was
	learned []uint32            // sequence numbers, to go through early for
	lost    string

	covers   bool // it hears for rule coverage
	heard    Capture
	closed   sync.Once
	settling sync.Mutex
	settled  time.Time // when everything until then was heard
	rules    ruleBook
	states   stateBook
}

// traceID is a packet under trace: the kernel's numbers are a namespace's own.
type traceID struct {
	node string
	id   uint32
}

type tracedPacket struct {
	trail *Trail
	role  evidence.Role
	early bool // it is not known yet whose it is
	mark  uint32
	wire.Packet
}

// Trail is what a watch sees of one flow.
type Trail struct {
	Flow wire.Flow

	follower *follower
	timeline []sighting
	changed  chan struct{} // has room for one: something new was seen
	last     time.Time     // when something new was seen, or the trail began
	passed   chan struct{}
	once     sync.Once // closes passed
}

// sighting is one of a flow's packets, with the event that tells of the rule that
// ended its way, as long as that rule is not read.
type sighting struct {
	evidence.Sighting
	event *traceEvent
}

// Passed is closed when all was heard that the probe's first packets had the nodes
// tell, or nothing is to be expected any more: there is room for another.
func (t *Trail) Passed() <-chan struct{} { return t.passed }

func newWatch() *Watch {
	return &Watch{
		nodes: map[string]*harness.Node{}, mark: wire.NewMark(),
		traced: map[traceID]*tracedPacket{}, trails: newBook(), early: map[uint32][]func(){},
	}
}

// Open begins to watch at the nodes. The flows say which protocols and ports are
// to be heard; nothing else of them counts yet. Namespaces that were attached get
// taps only.
func Open(nodes []*harness.Node, flows ...wire.Flow) (*Watch, error) {
	w := newWatch()
	w.plan = wiringOf(nodes)
	program, err := filter(udpPorts(flows))
	if err != nil {
		return nil, err
	}
	stamps, err := askForStamps()
	if err != nil {
		return nil, err
	}
	defer stamps.close()
	err = harness.Visit(nodes, func(node *harness.Node) error {
		w.nodes[node.Name()] = node
		t, err := openTap(node, program)
		if err != nil {
			return fmt.Errorf("node %s: open tap: %w", node, err)
		}
		w.taps = append(w.taps, t)
		return w.trace(node, flows)
	})
	if err == nil {
		err = w.nameInterfaces()
	}
	if err == nil {
		err = stamps.await()
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	w.start()
	return w, nil
}

// Room is how many probes may begin at once without a node telling more than its
// trace has room for, which would leave them all inconclusive; at least 1.
func (w *Watch) Room() int { return roomOf(w.tracers) }

// trace begins to hear the rules of a node, if it has any. The calling thread is in
// the node's namespace.
func (w *Watch) trace(node *harness.Node, flows []wire.Flow) error {
	if node.Attached() {
		return nil
	}
	if covers(node) {
		ledgerOf(node) // rules that it gets later count, too
	}
	legacy, err := joinLegacyTracer(w, node)
	if err != nil {
		return fmt.Errorf("node %s: trace rules of iptables-legacy: %w", node, err)
	}
	if legacy != nil {
		w.legacy = append(w.legacy, legacy)
	}
	tracer, err := openTracer(node, w.mark, flows, legacy != nil)
	if err != nil {
		return fmt.Errorf("node %s: trace rules: %w", node, err)
	}
	if tracer != nil {
		w.tracers = append(w.tracers, tracer)
	}
	return nil
}

// nameInterfaces notes what the interfaces that packets are seen at are called.
func (w *Watch) nameInterfaces() error {
	for _, t := range w.taps {
		links, err := t.node.Netlink().LinkList()
		if err != nil {
			return fmt.Errorf("node %s: list links: %w", t.node, err)
		}
		t.names, t.ports = make(map[int]string, len(links)), map[int]bool{}
		bridges := map[int]bool{}
		for _, link := range links {
			a := link.Attrs()
			t.names[a.Index], bridges[a.Index] = a.Name, link.Type() == "bridge"
		}
		for _, link := range links {
			a := link.Attrs()
			t.ports[a.Index] = bridges[a.MasterIndex]
		}
	}
	return nil
}

func (w *Watch) start() {
	w.covers = slices.ContainsFunc(w.tracers, func(t *tracer) bool { return t.uses != nil })
	for _, t := range w.taps {
		w.reading.Go(func() { t.read(w.hearing.RLocker(), w.hearFrame) })
	}
	for _, t := range w.tracers {
		w.reading.Go(func() {
			t.read(w.hearing.RLocker(), w.hearEvent, func(err error) {
				t.uses.lose(err)
				w.lose(fmt.Sprintf("node %s: %v", t.node, err))
			})
		})
	}
}

func (w *Watch) lose(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost = what
}

// Follow begins a flow, and gives it its nonce. It is to be called before the
// probe sends.
func (w *Watch) Follow(f wire.Flow) *Trail {
	f.Nonce = w.mark.Nonce(f.Protocol)
	t := &Trail{Flow: f, follower: follow(f), changed: make(chan struct{}, 1), passed: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.last = time.Now()
	w.trails.add(t)
	return t
}

// see adds a sighting.
func (t *Trail) see(s evidence.Sighting) { t.note(sighting{Sighting: s}) }

func (t *Trail) note(s sighting) {
	t.timeline, t.last = append(t.timeline, s), time.Now()
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// Close ends the watch. The trace tables are gone when it returns; taps close
// beside. A second call does nothing: connections that are closed would be opened
// again, and not where they were.
func (w *Watch) Close() (err error) {
	w.closed.Do(func() { err = w.close() })
	return err
}

func (w *Watch) close() error {
	if w.covers {
		w.settle()
	}
	for _, t := range w.taps {
		t.stop()
	}
	for _, t := range w.tracers {
		t.stop()
	}
	w.reading.Wait()
	errs := make([]error, len(w.tracers)+len(w.legacy))
	var taking sync.WaitGroup
	for i, t := range w.tracers {
		taking.Go(func() { errs[i] = t.close() })
	}
	for i, t := range w.legacy {
		taking.Go(func() { errs[len(w.tracers)+i] = t.leave(w) })
	}
	taking.Wait()
	closeTaps(w.taps)
	return errors.Join(errs...)
}
