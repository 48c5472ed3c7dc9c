package account

import "slices"

// depart gives each exit to the line, or the visit, that left by it. A clone leaves
// before its original, which the kernel keeps in its hands meanwhile.
func (b *book) depart() {
	for _, v := range b.visits {
		for _, clones := range []bool{true, false} {
			for _, l := range v.lines {
				if l.clone == clones {
					b.departLine(v, l)
				}
			}
		}
	}
	for _, e := range b.exits {
		if e.of == nil {
			b.departUntraced(e)
		}
	}
}

// departLine finds the exit of a line: a packet that has passed postrouting needs
// one of its own; one that a bridge hands to its node likewise.
func (b *book) departLine(v *visit, l *line) {
	up := v.at.bridge != 0 && l.came(Bridge, InputHook)
	if l.stop() != nil || !up && !l.left() {
		return
	}
	r := l.out()
	e, ok := best(b.exits, func(e *exit) int {
		switch {
		case e.at != v.at || e.of != nil || e.first().At.Before(v.when):
		case up != (e.first().Direction == In):
		case !up && r.Out != 0 && !e.by(r.Out):
		default:
			return likeness(e.first().Header, r.After)
		}
		return 0
	})
	if ok {
		e.of, l.exit = v, e
	}
	if v.at.bridge == 0 {
		n := b.count[v.at.node]
		n.passed++
		if ok {
			n.left++
		}
		b.count[v.at.node] = n
	}
}

// by says whether a packet left by an interface.
func (e *exit) by(index int) bool {
	for _, s := range e.seen {
		if s.Index == index {
			return true
		}
	}
	return false
}

// departUntraced gives an exit that no record tells of to the visit that it continues,
// or is a copy of: the likeliest, and of equals the one that fewest left so far, and of
// these the first that came. What came from none is new: the node made it.
func (b *book) departUntraced(e *exit) {
	s := e.first()
	made := b.role == Request && s.Node == b.Asker && e.at.bridge == 0
	fewest := len(b.exits) + 1
	v, ok := best(b.visits, func(v *visit) int {
		if v.at != e.at || v.own() || s.At.Before(v.when) {
			return 0
		}
		return b.onward(v, e, made)*fewest - min(v.gone(), fewest-1)
	})
	if !ok {
		v = b.copied(e.at, s.Header, func(v *visit) (like, late int) {
			if s.At.Before(v.when) {
				return 0, 0
			}
			return likeness(v.head, s.Header), slices.Index(b.visits, v)
		})
	}
	if v == nil {
		v = b.remade(e.at)
	}
	if v == nil {
		v = &visit{at: e.at, head: s.Header, when: s.At}
		b.visits = append(b.visits, v)
	}
	e.of, v.exits = v, append(v.exits, e)
}

// onward is how likely a packet that leaves a station is the one that came: a node takes
// one from its time to live, a bridge takes nothing, nor does a program that hands on
// frames which are not for its node. 0 is not at all.
func (b *book) onward(v *visit, e *exit, made bool) int {
	s := e.first()
	forwarded := v.head.TTL == s.TTL+1
	if e.at.bridge != 0 || v.foreign() {
		forwarded = v.head.TTL == s.TTL
	}
	n := 1
	switch {
	case !compatible(v.head, s.Header):
		if made || b.role > Answer || len(v.exits) > 0 || len(v.lines) > 0 {
			return 0
		}
		return n // a program there got it and sent it on as its own
	case forwarded:
		n |= 1 << 4
	case made:
		return 0
	}
	if v.head.Identity == s.Identity {
		n |= 1 << 3
	}
	if v.head.Tuple == s.Tuple {
		n |= 1 << 2
	}
	if !v.foreign() {
		n |= 1 << 1
	}
	return n
}

// gone is how many packets it is known to have become.
func (v *visit) gone() int {
	n := len(v.exits)
	for _, l := range v.lines {
		if !l.lost() {
			n++
		}
	}
	return n
}

// forwards says whether a packet that came to a node left it as what the kernel hands on:
// nothing that was for another.
func (v *visit) forwards(e *exit) bool { return !v.foreign() && v.routes(e) }

// routes says whether it left with one less of its time to live, as from a router.
func (v *visit) routes(e *exit) bool {
	return compatible(v.head, e.first().Header) && v.head.TTL == e.first().TTL+1
}
