package account

import (
	"slices"
	"strings"
	"time"
)

// before says whether one time is before another by more than clocks differ. A time
// that is not known is before none.
func before(t, u time.Time) bool { return !t.IsZero() && !u.IsZero() && t.Add(slack).Before(u) }

// wire is where packets go from one interface to another.
type wire struct {
	segment  string // of the plan; "" is what nodes have for themselves: tunnels, and pairs within a node
	loopback string // the node's whose loopback it is
}

func (b *book) wireOf(s Sighting) wire {
	l := b.link(s.Node, s.Index)
	if l.Loopback {
		return wire{loopback: s.Node}
	}
	return wire{segment: l.Segment}
}

// carry takes packets over the wires: to each interface that one came in at, once.
func (b *book) carry() {
	type sent struct {
		wire
		Header
	}
	out := map[sent][]*exit{}
	slices.SortStableFunc(b.exits, func(e, f *exit) int { return byTime(e.last(), f.last()) })
	for _, e := range b.exits {
		if s := e.last(); s.Direction == Out && len(e.to) == 0 {
			key := sent{b.wireOf(s), s.Header}
			out[key] = append(out[key], e)
		}
	}
	arrived := slices.DeleteFunc(slices.Clone(b.visits), func(v *visit) bool { return len(v.ins) == 0 || v.from != nil })
	slices.SortStableFunc(arrived, func(v, w *visit) int { return byTime(v.ins[0], w.ins[0]) })
	for _, v := range arrived {
		s := v.ins[0]
		w := b.wireOf(s)
		e, ok := best(out[sent{w, s.Header}], func(e *exit) int {
			switch {
			case !w.takes(e, s) || b.descends(e.of, v):
				return 0
			case !s.Foreign && e.hosted(): // one frame is for one host
				return 1
			}
			return 2
		})
		if ok {
			v.from, e.to = e, append(e.to, v)
		}
	}
}

// hosted says whether it came in where it was for already.
func (e *exit) hosted() bool {
	return slices.ContainsFunc(e.to, func(v *visit) bool { return !v.foreign() })
}

// byTime orders sightings of any nodes.
func byTime(s, t Sighting) int {
	if c := s.At.Compare(t.At); c != 0 {
		return c
	}
	return strings.Compare(s.Node, t.Node)
}

// takes says whether what left may be what came in there: not where it left, but for
// devices that give back what they are given, and not twice.
func (w wire) takes(e *exit, in Sighting) bool {
	s := e.last()
	if w.segment != "" && s.Node == in.Node && s.Index == in.Index || before(in.At, s.At) {
		return false
	}
	return !slices.ContainsFunc(e.to, func(v *visit) bool { return v.at.node == in.Node && v.ins[0].Index == in.Index })
}

// descends says whether a visit is of a packet that another's became.
func (b *book) descends(v, from *visit) bool {
	for v != nil {
		if v == from {
			return true
		}
		switch {
		case v.from != nil:
			v = v.from.of
		default:
			v = v.up
		}
	}
	return false
}

// loose is where a packet was lost from sight.
type loose struct {
	of   *visit
	gap  **visit
	when time.Time
	head Header
}

// bridgeGaps finds, for what came from nowhere, a packet that was lost from sight
// before: it went by what nobody watches, as a node, a program or an encrypted tunnel.
func (b *book) bridgeGaps() {
	var open []loose
	for _, v := range slices.Clone(b.visits) {
		if !v.own() && v.from == nil && !v.foreign() {
			if open == nil {
				open = b.loose()
			}
			b.bridgeGap(v, open)
		}
	}
}

func (b *book) bridgeGap(v *visit, open []loose) {
	l, ok := best(open, func(l loose) int {
		if *l.gap != nil || before(v.when, l.when) || b.descends(l.of, v) {
			return 0
		}
		return likeness(l.head, v.head)
	})
	if ok {
		*l.gap, v.up = v, l.of
	}
}

// loose are the ends that nobody saw.
func (b *book) loose() (open []loose) {
	for _, v := range b.visits {
		if v.stray() {
			continue
		}
		there := b.atGoal(v.at)
		for _, l := range v.lines {
			if l.exit == nil && l.stop() == nil && (!there || l.left()) && (len(v.exits) == 0 || l.clone || l.left()) {
				open = append(open, loose{v, &l.gap, v.when, l.out().After})
			}
		}
		if len(v.lines) == 0 && len(v.exits) == 0 && !there {
			open = append(open, loose{v, &v.gap, v.when, v.head})
		}
	}
	for _, e := range b.exits {
		if len(e.to) == 0 || !e.arrived() {
			open = append(open, loose{e.of, &e.gap, e.last().At, e.last().Header})
		}
	}
	return open
}
