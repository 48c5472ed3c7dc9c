package policy

import (
	"math/rand/v2"
	"slices"
)

// search looks for packets that meet a goal. It halves what is left by the rules that took the
// last packet, until one meets the goal or none is left: that is the proof that there is none.
type search struct {
	*world
	goal   goal
	before []*chain
	open   []box
	rand   *rand.Rand
	// tried counts packets; unsure says that none being left proves nothing.
	tried  int
	unsure bool
	takers []*line // that took what was tried
	may    *line   // a rule that is not modelled, by which some of that may meet the goal
	// chances are packets of which it is not known whether they meet the goal, by is the rule that the last one tried needs for it.
	chances []chance
	lengths set // of packets that are wanted; nil for the usual
	by      *line
}

// mostTries bounds a search.
const mostTries = 4000

// newSearch begins with all packets of the universe that the goal's rule matches.
func (w *world) newSearch(g goal, universe []box, random *rand.Rand) *search {
	s := &search{world: w, goal: g, before: w.ahead(g.base), rand: random}
	if g.line == nil {
		s.open = slices.Clone(universe)
	} else {
		s.lengths = g.line.lengths
		for i := range g.line.arms {
			s.open = append(s.open, andAll(universe, g.line.arms[i].boxes)...)
		}
	}
	// What is wanted last is tried last: the first are the universe's plainest.
	slices.Reverse(s.open)
	return s
}

// next is a packet that meets the goal, as far as the model knows; nil where none is left, or the
// search was too long: then it is unsure.
func (s *search) next() *point {
	for {
		b, p, some := s.draw(mostTries)
		if !some {
			s.unsure = s.unsure || len(s.open) > 0
			return nil
		}
		r := walk(&p, s.before, s.goal)
		if r.reached {
			s.open = append(s.open, b) // refuse takes out of it what the kernel did otherwise
			return &p
		}
		s.note(b, p, r)
		s.split(b, r)
	}
}

// draw takes a box from what is left, and picks a packet of it that there may be. There is none where nothing is left, or so many
// were tried: then something is.
func (s *search) draw(most int) (b box, p point, some bool) {
	for len(s.open) > 0 {
		if s.tried++; s.tried > most {
			break
		}
		top := len(s.open) - 1
		b = s.open[top]
		s.open = s.open[:top]
		if b.isEmpty() {
			continue
		}
		p = s.pick(&b)
		not := s.cannot(&p)
		if not == nil {
			return b, p, true
		}
		s.open = append(s.open, b.without(not, &s.domain)...)
	}
	return b, p, false
}

// part puts back what of a box is not in another one, and is what is in both.
func (s *search) part(b box, by *box) (both box, some bool) {
	s.open = append(s.open, b.without(by, &s.domain)...)
	return b.and(by)
}

// meeting puts back what of a box is in others.
func (s *search) meeting(b box, others []box) {
	for i := range others {
		if both, some := b.and(&others[i]); some {
			s.open = append(s.open, both)
		}
	}
}

// split puts back what the rules that took a packet may not have taken.
func (s *search) split(b box, r run) {
	s.unsure = s.unsure || r.unsure
	if s.may == nil {
		s.may = r.may
	}
	if len(r.matched) == 0 { // it was the policy of a chain before
		s.evade(b, r)
		return
	}
	for _, h := range r.matched {
		var some bool
		if b, some = s.part(b, h.box); !some {
			return
		}
	}
	for _, last := range s.endings(r) {
		if last.line.exact() && s.takes(last) && !slices.Contains(s.takers, last.line) {
			s.takers = append(s.takers, last.line)
		}
	}
	s.evade(b, r)
}

// endings are what kept a packet from the goal, on each of its ways: where it left the goal's chain, or else the last.
func (s *search) endings(r run) []hit {
	if s.goal.line == nil { // a policy meets what comes to the end of where it was led
		return r.lasts
	}
	for _, h := range slices.Backward(r.matched) {
		if h.line.in == s.goal.chain() && (h.arm.verdict == goes || h.arm.verdict == returns) && h.line.exact() {
			return []hit{h}
		}
	}
	return r.lasts
}

// takes says whether a rule that was met last kept the packet from the goal: it ended its way, or
// led it out of the goal's chain.
func (s *search) takes(last hit) bool {
	on := last.line.in == s.goal.chain() || last.line.in.leads[s.goal.chain()]
	return last.arm.verdict.ends() || on && (last.arm.verdict == returns || last.arm.verdict == goes)
}

// evade keeps what rules would have led another way.
func (s *search) evade(b box, r run) {
	for _, a := range r.evaders {
		s.meeting(b, a.boxes)
	}
}

// refuse says that a packet which was found was taken by a rule of these after all: what surely does
// not match them is left.
func (s *search) refuse(p *point, by []*line) {
	top := len(s.open) - 1
	if top < 0 {
		return
	}
	b := s.open[top]
	s.open = s.open[:top]
	s.unsure = true
	for _, l := range by {
		if a := l.arm(p); a != nil {
			s.open = append(s.open, b.without(a.has(p), &s.domain)...)
			return
		}
	}
	s.open = slices.Insert(s.open, 0, b) // by something else: another packet later
}

// pick is a packet of a box: as people send it, as far as the box lets them.
func (s *search) pick(b *box) (p point) {
	for f := range p {
		have := b[f].and(s.domain[f])
		if ttl := small(usualTTL - p.hops()); field(f) == fieldTTL && have.has(ttl) {
			p[f] = ttl
			continue
		}
		p[f] = s.choose(field(f), have)
	}
	if p[fieldProto].lo != protoTCP || b[fieldFlags] == nil {
		p[fieldFlags] = small(syn)
	}
	return p
}

// lowestPort is the lowest that a kernel gives who asks for none.
const lowestPort = 32768

// anyPort is one as a kernel gives them.
func anyPort(r *rand.Rand) number {
	const count = 28000
	return small(lowestPort + r.Uint64N(count))
}

func (s *search) choose(f field, have set) number {
	wanted := liked[f]
	switch {
	case f == fieldSrc || f == fieldDst:
		wanted = s.addrs
	case f == fieldType && s.v6: // before IPv4's, which an error has here
		wanted = []number{small(128), small(8)}
	}
	for _, n := range wanted {
		if have.has(n) {
			return n
		}
	}
	if f == fieldSport {
		if n := anyPort(s.rand); have.has(n) {
			return n
		}
	}
	x := have[s.rand.IntN(len(have))]
	if f == fieldSrc || f == fieldDst {
		x = have[0]
		if size := x.last.minus(x.first); size > 2 { // not a network's own address, if it is one
			return x.first.plus(1 + s.rand.Uint64N(min(size-1, 200)))
		}
	}
	size := x.last.minus(x.first)
	if size == ^uint64(0) {
		return x.first.plus(s.rand.Uint64())
	}
	return x.first.plus(s.rand.Uint64N(size + 1))
}

// usualTTL is that of most who send.
const usualTTL = 64

var liked = map[field][]number{
	fieldProto: {small(protoTCP), small(protoUDP), small(protoICMP), small(protoICMPv6)},
	fieldHead:  {small(headWhole)},
	fieldType:  {small(8), small(128)},
	fieldCode:  {small(0)},
	fieldFlags: {small(syn), small(ack)}, // the second of what connection tracking takes for new
	fieldState: {small(stateNew), small(stateEstablished), small(stateRelated), small(stateInvalid), small(stateUntracked)},
	fieldMark:  {small(0)},

	fieldStatus: {small(0)},
}
