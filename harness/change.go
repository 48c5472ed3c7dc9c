package harness

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/nstest/nstest/topo"
)

// Change changes the network of a lab that is up. It calls change with a copy of the
// declaration, in which nodes and segments are found by name (Node, Segment), are taken
// away (Remove, Detach) and declared as ever; plans it again, and makes the difference real.
// What stays is not touched: namespaces, interfaces with their indexes, addresses that were
// made up, sockets, connections that are tracked, processes. It returns when a first packet
// passes on what is new; the plan, surveys, the bundle and a twin have it from then on.
//
// Where the declaration is wrong then, or is one that a lab cannot come to while it is up,
// nothing is changed, and the error says what is wrong. A failure half-way is undone; the
// error says what could not be. A switch that keeps VLANs apart keeps its ports: Port.SetVLANs
// changes their VLANs.
//
// What nodes were given by AddAddr and so on they keep. Of a node that is taken away the
// commands are ended; sockets that the test itself holds keep its namespace.
func (l *Lab) Change(change func(n *topo.Network)) error {
	l = l.here()
	if change == nil {
		return at(errNoFunction, "change lab %s", l.Name())
	}
	l.changing.Lock()
	defer l.changing.Unlock()
	return at(l.change(change), "change lab %s", l.Name())
}

var errSame = errors.New("the plan is what it was: declare on the copy that is given, and on what its Node and Segment return")

func (l *Lab) change(change func(n *topo.Network)) error {
	if err := l.ours(); err != nil {
		return err
	}
	if l.Parted() != nil {
		return errors.New("it is cut by Partition: call Heal first")
	}
	declared := l.declared.Copy(l.planned)
	change(declared)
	plan, err := declared.Plan()
	switch {
	case err != nil:
		return err
	case samePlan(plan, l.planned):
		return errSame
	}
	l.turns.Add(1)
	err = l.become(plan)
	l.turns.Add(1)
	if err != nil {
		return err
	}
	l.declared = declared
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = append(l.done, deed{"the lab", func(twin *Lab) error { return twin.become(plan) }})
	return nil
}

func samePlan(a, b *topo.Plan) bool {
	return reflect.DeepEqual(a.Segments, b.Segments) && reflect.DeepEqual(a.Nodes, b.Nodes)
}

// become makes the lab what a plan says, which keeps what stays of the plan that the lab has.
func (l *Lab) become(plan *topo.Plan) error {
	t := newTransition(l, plan)
	if err := t.refuses(); err != nil {
		return err
	}
	if err := t.run(); err != nil {
		if undone := t.undo(); undone != nil {
			return fmt.Errorf("%w; and it could not all be undone: %w", err, undone)
		}
		return err
	}
	l.planned = plan
	l.layout.Store(t.next)
	l.removed(t.gone)
	l.known(t.was, t.next)
	return nil
}

// removed ends nodes that are no more, and forgets what was noted of them and of interfaces
// that are no more.
func (l *Lab) removed(gone []*Node) {
	names := map[string]bool{}
	for _, node := range gone {
		names[node.name] = true
		defer l.goes(node) // each, also where what was registered for another panics
	}
	l.edits = slices.DeleteFunc(l.edits, func(e edit) bool { return names[e.node] || names[e.other] })
	s := l.now().site
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.switched, func(which spot, _ topo.SwitchPort) bool { return s.outer[which] == 0 })
	maps.DeleteFunc(l.neighbours, func(which neighbour, _ bool) bool { return s.indexes[which.at] == 0 })
}

// transition is a lab on its way from one plan to another.
type transition struct {
	journal
	lab       *Lab
	old, plan *topo.Plan
	was, next *layout
	site      *site
	gone      []*Node
	added     []spot          // interfaces that are new
	addressed map[spot]bool   // and such that have new addresses
	fresh     map[string]bool // nodes that are new
	returned  map[spot]bool   // interfaces that were taken away, and made again
	// fabricLater are requests for switches' ends that stay.
	fabricLater []request
}

func newTransition(l *Lab, plan *topo.Plan) *transition {
	was := l.now()
	t := &transition{lab: l, old: l.planned, plan: plan, was: was, addressed: map[spot]bool{}, fresh: map[string]bool{}, returned: map[spot]bool{}}
	t.site = was.site.by(edited(plan, l.edits...))
	t.site.grounds = maps.Clone(was.site.grounds)
	t.site.outer, t.site.isUp, t.site.bridges = maps.Clone(was.site.outer), maps.Clone(was.site.isUp), maps.Clone(was.site.bridges)
	return t
}

// run does it in an order in which what is undone may be: what is new, then what is
// otherwise, then what is gone, and at last what cannot be taken back.
func (t *transition) run() error {
	for _, step := range []func() error{
		t.makeNodes, t.makeLinks, t.returns, t.configure, t.removeLinks, t.route, t.settleLinks, t.settleNodes,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// kept calls f for each node that stays, with its plan before and after.
func (t *transition) kept(f func(before, after *topo.NodePlan) error) error {
	for i := range t.plan.Nodes {
		after := &t.plan.Nodes[i]
		if before, stays := t.old.Node(after.Name); stays {
			if reflect.DeepEqual(before, after) {
				continue
			}
			if err := f(before, after); err != nil {
				return at(err, "%s", title(after))
			}
		}
	}
	return nil
}

// byIndex is the interface of a node that has an index.
func byIndex(node *topo.NodePlan, index int) *topo.DevicePlan {
	for i := range node.Devices {
		if node.Devices[i].Index == index {
			return &node.Devices[i]
		}
	}
	return nil
}

// beyond are the interfaces of a node that another plan of it has not.
func beyond(node, other *topo.NodePlan) (devices []*topo.DevicePlan) {
	for i := range node.Devices {
		if byIndex(other, node.Devices[i].Index) == nil {
			devices = append(devices, &node.Devices[i])
		}
	}
	return devices
}
