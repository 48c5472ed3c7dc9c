package watch

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// Watch follows probes through a lab: a tap in each node, and where a node has rules
// a trace of what they do. It stands from the first probe under watch to the lab's
// end. Who asks reads what the kernels told: see Drain.
type Watch struct {
	lab  *harness.Lab
	mark mark

	mu      sync.Mutex // held while anything is read or changed
	points  []*point
	of      map[*harness.Node]*point
	byLabel map[string]*point
	linked  map[string][]account.Link // see links; nil when they are to be read again
	ways    map[wayKey][]string       // see wayOf
	// What the watch can see into, see nodes; nil when it is to be made again.
	seenInto map[string]account.Node
	labs     map[*harness.Lab]any // the plan that each was wired by
	seen     map[*harness.Lab]any // and that by which its nodes are watched
	plan     wiring
	epoll    int
	sources  map[int32]source
	ready    [64]unix.EpollEvent
	slots    *slots
	scratch  []byte
	told     []told          // read, not yet heard
	quoted   []byte          // what they have of packets
	ports    map[uint16]int  // of datagrams: which in order they were heard as, from 1
	wide     bool            // taps hear those of all ports
	parts    bool            // and fragments, and what has extension headers
	rare     []wire.Protocol // those that are traced too; see rare
	down     bool

	book   book
	active int // trails that are not done
	nearby lately[verdict.Discovered]
	muted  lately[verdict.Muted]

	waiting   int // who waits for what comes by itself
	listening bool

	tries  tries
	trying bool            // tries are made
	gone   []*Trail        // that ended meanwhile
	blinds map[string]bool // see blindAt; nil where each look is to be new
	heard  Capture
	storms string    // why more comes than can be read; "" where all is read
	looked time.Time // when it was last looked whether that is over
	states stateBook

	switches switchBook
}

// source is a socket, and what reads it.
type source struct {
	point *point
	read  func() (more bool) // at most perTurn times; more may be there
}

type watchKey struct{}

// kept is a lab's watch, or why there is none.
type kept struct {
	watch *Watch
	err   error
}

// Of is the watch of the labs, opened at its first use. They are one lab, and labs
// that are a namespace attached to a test's: nothing else connects two.
func Of(labs ...*harness.Lab) (*Watch, error) {
	first := labs[0]
	for _, lab := range labs {
		if !attached(lab) {
			first = lab
			break
		}
	}
	made := first.Keep(watchKey{}, func() any {
		w, err := open(first)
		return kept{w, err}
	}).(kept)
	if made.err != nil {
		return nil, made.err
	}
	for _, lab := range labs {
		if err := made.watch.include(lab); err != nil {
			return nil, err
		}
	}
	return made.watch, nil
}

func attached(lab *harness.Lab) bool {
	return slices.ContainsFunc(lab.Nodes(), (*harness.Node).Attached)
}

func open(lab *harness.Lab) (*Watch, error) {
	w := &Watch{
		lab: lab, mark: ours(), of: map[*harness.Node]*point{}, byLabel: map[string]*point{}, labs: map[*harness.Lab]any{}, seen: map[*harness.Lab]any{},
		plan: newWiring(), sources: map[int32]source{}, slots: newSlots(snapLength), scratch: make([]byte, 64<<10),
		ports: map[uint16]int{}, book: newBook(), ways: map[wayKey][]string{},
	}
	var err error
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("watch lab %s: %w", lab.Name(), err)
	}
	stamps, err := askForStamps()
	if err == nil {
		defer stamps.close()
		if err = w.include(lab); err == nil {
			err = stamps.await()
		}
	}
	if err != nil {
		w.close()
		return nil, fmt.Errorf("watch lab %s: %w", lab.Name(), err)
	}
	lab.OnFailure("packets.pcapng", w.WritePcap)
	return w, nil
}

// include begins to watch the nodes of a lab, unless they are watched.
func (w *Watch) include(lab *harness.Lab) error {
	added, err := w.add(lab)
	if added { // of a lab that is down already, at once
		lab.OnDown(func() { w.exclude(lab) })
	}
	return err
}

// add watches the nodes of a lab, and says whether they are new to it.
func (w *Watch) add(lab *harness.Lab) (added bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down || w.labs[lab] != nil {
		return false, nil
	}
	plan := lab.Plan()
	if err := w.see(lab.Nodes()); err != nil {
		return false, err
	}
	w.seen[lab] = plan
	w.wire(lab)
	return true, nil
}

// newLabel is what a node is called in what is seen: its name, or lab/name where
// another of the watch has it.
func (w *Watch) newLabel(node *harness.Node) string {
	label := node.Name()
	for try := 0; w.byLabel[label] != nil; try++ {
		if label = node.Lab().Name() + "/" + node.Name(); try > 0 {
			label += fmt.Sprintf("#%d", try+1)
		}
	}
	return label
}

// label is what a node is called.
func (w *Watch) label(node *harness.Node) string {
	if p := w.of[node]; p != nil {
		return p.label
	}
	return node.Name()
}

// Label is what a node is called in timelines and causes: its name, or lab/name where
// another node that is watched has it.
func (w *Watch) Label(node *harness.Node) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.label(node)
}

// Node is the node of a label; nil where none has it.
func (w *Watch) Node(label string) *harness.Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.byLabel[label]; p != nil {
		return p.node
	}
	return nil
}

// begin makes ready for a probe: what stands at the nodes is as their rules are now.
// The caller holds w.mu.
func (w *Watch) begin() error {
	if w.down {
		return errDown
	}
	if err := w.keepUp(); err != nil {
		return err
	}
	w.rewire()
	w.seenInto = nil
	w.calm()
	w.drain()
	if w.active == 0 {
		for _, p := range w.points { // what was lost until now was nobody's
			overflowed(p.tap)
		}
	}
	var errs []error
	legacy := w.active == 0 && haveLegacy()
	for _, p := range w.points {
		if err := w.refreshLegacy(p, legacy); err != nil {
			errs = append(errs, fmt.Errorf("node %s: trace rules of iptables-legacy: %w", p.node, err))
			continue
		}
		if err := p.refresh(w); err != nil {
			errs = append(errs, fmt.Errorf("node %s: trace rules: %w", p.node, err))
		}
	}
	return errors.Join(errs...)
}

// hear has more protocols and ports heard.
func (w *Watch) hearPort(f wire.Flow) error {
	if !f.Protocol.IsDatagrams() || w.ports[f.Port] > 0 {
		return nil
	}
	w.ports[f.Port] = len(w.ports) + 1
	program, err := w.filter()
	if err != nil {
		return err
	}
	for _, p := range w.points {
		if err := SetFilter(p.tap, program); err != nil {
			return fmt.Errorf("node %s: hear port %d: %w", p.node, f.Port, err)
		}
		if p.table == nil || len(p.table.families) == 0 {
			continue
		}
		if err := p.putBack(w, p.table.addPort(f.Port)); err != nil {
			return fmt.Errorf("node %s: trace port %d: %w", p.node, f.Port, err)
		}
	}
	return nil
}

// hearAll has datagrams of all ports heard.
func (w *Watch) hearAll() error {
	if w.wide {
		return nil
	}
	w.wide = true
	program, err := w.filter()
	for _, p := range w.points {
		if err == nil {
			err = SetFilter(p.tap, program)
		}
		if err != nil {
			w.wide = false
			return fmt.Errorf("node %s: hear all ports: %w", p.node, err)
		}
	}
	return nil
}

func (w *Watch) filter() ([]unix.SockFilter, error) {
	if w.wide {
		return w.mark.filter(make([]uint16, maxPorts+1), w.parts)
	}
	var ports []uint16
	for port := range w.ports {
		ports = append(ports, port)
	}
	slices.Sort(ports)
	return w.mark.filter(ports, w.parts)
}

// perProbe is what the events of a probe take of a trace's buffer at most, in bytes:
// of its request and its answer, each passing a dozen rules and policies that say
// something, with 2.3 kB for each.
const perProbe = 64 << 10

// perProbeTapped is what its packets take of a tap's: seven that fill a frame, with 2.3 kB
// for each, or twenty small ones.
const perProbeTapped = 16 << 10

// manyProbes is the room of a watch that traces nothing.
const manyProbes = 1 << 10

// Room is how many probes may begin at once without a node telling more than its
// trace and its tap have room for; at least 1.
func (w *Watch) Room() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.begin() // who begins a probe is told
	return w.room()
}

func (w *Watch) room() int {
	room := manyProbes
	for _, p := range w.points {
		if r := p.room(); r > 0 {
			room = min(room, r/perProbe)
		}
		room = min(room, bufferOf(p.tap)/perProbeTapped)
	}
	return max(1, room)
}
