package account

import (
	"slices"
	"strings"
	"time"
)

// slack is by how much the clocks of two nodes' taps may differ in what they say of
// one packet: what is later by the wire may be earlier by them.
const slack = 50 * time.Microsecond

// station is where packets come, and from where they leave: a node, or a bridge in it.
type station struct {
	node   string
	bridge int // its index; 0 is the node itself
}

// visit is a packet at a station: how it came, and all that became of it there.
type visit struct {
	at   station
	ins  []Sighting // how it came in, from the wire up: eth0, eth0.5
	head Header     // as it came
	when time.Time  // zero where no tap saw it come
	in   int        // the interface that it came by; 0 of what the station made
	turn int        // in the order in which packets came to rules; 0 of what came to none

	lines []*line // what rules did with it; one for each clone
	exits []*exit // how it left, as far as no line has it
	from  *exit   // what brought it; nil of what the station made, and orphans
	gap   *visit  // what it is seen as again, after it was lost from sight
	up    *visit  // what it was before, of a gap's other side
	other bool    // it came to a group, of which this node is not the one that is meant
}

// own is true of what the station made: it did not come.
func (v *visit) own() bool { return v.in == 0 }

// foreign is true when the frame was for another.
func (v *visit) foreign() bool { return len(v.ins) > 0 && v.ins[len(v.ins)-1].Foreign }

// stray is true of a foreign frame, or one to a group, that nothing was made of. To a bridge
// every frame is foreign: there it is one that came in elsewhere as well, at the host that it
// was for.
func (v *visit) stray() bool {
	switch {
	case !v.foreign() && !v.other || len(v.exits) > 0 || v.gap != nil || slices.ContainsFunc(v.lines, func(l *line) bool { return l.exit != nil }):
		return false
	case v.at.bridge == 0:
		return true
	}
	return v.from != nil && slices.ContainsFunc(v.from.to, func(w *visit) bool { return !w.foreign() })
}

// exit is a packet that leaves a station.
type exit struct {
	at   station
	seen []Sighting // from the stack down: eth0.5, eth0; of what a bridge hands up: br0 in
	of   *visit
	to   []*visit
	gap  *visit // as visit.gap
}

func (e *exit) first() Sighting { return e.seen[0] }
func (e *exit) last() Sighting  { return e.seen[len(e.seen)-1] }

// arrived says whether it came in anywhere where it was meant to.
func (e *exit) arrived() bool {
	return e.gap != nil || slices.ContainsFunc(e.to, func(v *visit) bool { return !v.stray() })
}

// book is what is known of the packets of one role.
type book struct {
	*Input
	role   Role
	visits []*visit
	exits  []*exit
	turns  int
	stops  bool             // packets have their Stops
	reach  map[*exit]int    // see reachExit
	count  map[string]count // of packets that passed a node's rules, and left
}

type count struct{ passed, left int }

func newBook(in *Input, role Role) *book {
	b := &book{Input: in, role: role, count: map[string]count{}}
	for _, s := range b.sightings() {
		b.note(s)
	}
	return b
}

// sightings are those of the role, each node's together and in order.
func (b *book) sightings() []Sighting {
	seen := make([]Sighting, 0, len(b.Sightings))
	for _, s := range b.Sightings {
		if s.Role == b.role {
			seen = append(seen, s)
		}
	}
	slices.SortStableFunc(seen, func(s, t Sighting) int {
		if c := strings.Compare(s.Node, t.Node); c != 0 {
			return c
		}
		return s.At.Compare(t.At)
	})
	return seen
}

// link is an interface; one that nothing is known of has its index alone.
func (b *book) link(node string, index int) Link {
	links := b.Links[node]
	for i := range links {
		if links[i].Index == index {
			return links[i]
		}
	}
	return Link{Index: index}
}

// bridgeOf is the index of the bridge that a link is a port of; 0 for none.
func (b *book) bridgeOf(node string, l Link) int {
	if l.Master != 0 && b.link(node, l.Master).Bridge {
		return l.Master
	}
	return 0
}

// note enters a sighting: as a visit's, or as an exit's.
func (b *book) note(s Sighting) {
	l := b.link(s.Node, s.Index)
	own, port := station{node: s.Node}, station{s.Node, b.bridgeOf(s.Node, l)}
	bridge := station{s.Node, l.Index}
	switch {
	case l.Bridge && s.Direction == In: // its bridge hands it to the node
		e := b.leave(bridge, s)
		e.to = []*visit{b.come(own, s)}
		e.to[0].from = e
	case l.Bridge: // the node hands it to its bridge
		e := b.leave(own, s)
		e.to = []*visit{b.come(bridge, s)}
		e.to[0].from = e
	case s.Direction == In:
		if v := b.below(s, l); v != nil {
			v.ins, v.head, v.at = append(v.ins, s), s.Header, port
			return
		}
		b.come(port, s)
	default:
		if e := b.above(s, l); e != nil {
			e.seen = append(e.seen, s)
			return
		}
		b.leave(port, s)
	}
}

func (b *book) come(at station, s Sighting) *visit {
	v := &visit{at: at, ins: []Sighting{s}, head: s.Header, when: s.At, in: s.Index, other: s.Group && at.bridge == 0 && !b.atGoal(at)}
	b.visits = append(b.visits, v)
	return v
}

func (b *book) leave(at station, s Sighting) *exit {
	e := &exit{at: at, seen: []Sighting{s}}
	b.exits = append(b.exits, e)
	return e
}

// below is the visit that a sighting at an upper device continues: of a VLAN on the
// interface, of the bond or VRF that it belongs to, or of a device that nothing is
// known of.
func (b *book) below(s Sighting, l Link) *visit {
	unknown := l == Link{Index: l.Index}
	for _, v := range b.visits {
		if v.at.node != s.Node || v.own() || v.head != s.Header {
			continue
		}
		last := v.ins[len(v.ins)-1]
		under := b.link(s.Node, last.Index)
		if last.Direction == In && last.Index != l.Index && (unknown || on(l, under)) {
			return v
		}
	}
	return nil
}

// above is the exit that a sighting at a lower device continues.
func (b *book) above(s Sighting, l Link) *exit {
	for _, e := range b.exits {
		last := e.last()
		over := b.link(s.Node, last.Index)
		if e.at.node == s.Node && last.Direction == Out && last.Index != l.Index && last.Header == s.Header && !over.Bridge && on(over, l) {
			return e
		}
	}
	return nil
}

// on says whether a device sends and receives by another.
func on(upper, lower Link) bool {
	return upper.Index != 0 && (upper.Lower == lower.Index || lower.Master == upper.Index)
}
