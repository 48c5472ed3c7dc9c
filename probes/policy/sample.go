package policy

import (
	"context"
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
)

// sample is a packet of a share that is to be tried.
type sample struct {
	half  *half
	share int
	state uint64
	box   box
	point point
	sent  []Packet
	heard heard
	// shown says that the kernel did with it what the model says; why, what stood in the way.
	shown bool
	why   string
}

// tryAll sends packets of each share, of each state in which it has some.
func (m *measuring) tryAll(ctx context.Context) error {
	var all []*sample
	for _, h := range m.halves {
		for i := range h.shares {
			all = append(all, h.samplesOf(i, h.shares[i].box)...)
		}
	}
	if err := m.try(ctx, all); err != nil {
		return err
	}
	all = nil
	for _, h := range m.halves {
		all = append(all, m.missing(h)...)
	}
	return m.try(ctx, all)
}

// samplesOf are those of packets of a share, of each state in which it has some.
func (h *half) samplesOf(share int, b box) (all []*sample) {
	for _, state := range h.statesOf(b) {
		b[fieldState] = just(state)
		all = append(all, &sample{half: h, share: share, state: state, box: b})
	}
	h.samples = append(h.samples, all...)
	return all
}

// try sends packets until each sample is shown, or no other packet is left to be tried.
func (m *measuring) try(ctx context.Context, all []*sample) error {
	const often = 4
	for range often {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.single(slices.DeleteFunc(slices.Clone(all), func(t *sample) bool { return t.shown || t.connected() || t.half.wrong[t.share] != nil }))
	}
	connected := slices.DeleteFunc(slices.Clone(all), func(t *sample) bool { return t.shown || !t.connected() })
	const each = 256
	for part := range slices.Chunk(connected, each) {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.rows(part)
	}
	return nil
}

// connected says whether it is about a packet of a connection that there is.
func (t *sample) connected() bool { return t.state == stateEstablished || t.state == stateRelated }

// statesOf are the states in which packets of a share's box are tried: of one that asks for none, the first that they may have.
func (h *half) statesOf(b box) (states []uint64) {
	asks := !slices.Equal(b[fieldState], h.hull[fieldState])
	for _, state := range statesInOrder {
		if !b[fieldState].has(small(state)) {
			continue
		}
		in := b
		in[fieldState] = just(state)
		if !asks && len(h.less([]box{in}, h.never)) > 0 {
			return []uint64{state}
		}
		states = append(states, state)
	}
	return states
}

// single sends a packet of each of some samples.
func (m *measuring) single(samples []*sample) {
	var tasks []*task
	var of []*sample
	for _, t := range samples {
		p := m.pick(t.half, t.box)
		if p == nil {
			t.why = "there is no such packet"
			continue
		}
		s := &search{world: t.half.world, rand: m.rand}
		t.point = s.plausible(*p)
		t.sent = []Packet{t.half.packetOf(t.point)}
		tasks, of = append(tasks, &task{packet: t.sent[0], stays: t.sent[0].In == "lo"}), append(of, t)
	}
	m.kernel.ask(tasks)
	m.sent += len(tasks)
	for i, t := range of {
		t.heard = tasks[i].heard
		m.judge(t)
		if t.state == stateNew && t.heard.passed() && !t.half.starts() {
			m.passed = append(m.passed, passed{t.point, t.half.world})
		}
	}
}

// starts says whether the packets are those that the node sends to itself.
func (h *half) starts() bool { return h.hull[fieldIn].has(small(lo)) }

// pick is a packet of a box of a half, as people send it; nil where there is none.
func (m *measuring) pick(h *half, b box) *point {
	s := &search{world: h.world, rand: m.rand}
	open := []box{b}
	if in := b[fieldIn]; len(in) == 1 && in[0].first == in[0].last {
		near := b
		near[fieldSrc] = b[fieldSrc].and(h.world.to(int(in[0].first.lo))) // who is there is tried first
		open = append(open, near)
	}
	for n := 0; len(open) > 0 && n < mostTries; n++ {
		top := len(open) - 1
		b := open[top]
		if open = open[:top]; b.isEmpty() {
			continue
		}
		p := s.pick(&b)
		if ack := small(ack); p[fieldState].lo == stateNew && p[fieldFlags].lo != syn && b[fieldFlags].has(ack) {
			p[fieldFlags] = ack // which conntrack takes for new, too
		}
		at := slices.IndexFunc(h.never, func(b box) bool { return b.has(&p) })
		if at < 0 {
			return &p
		}
		open = append(open, b.without(&h.never[at], &h.hull)...)
	}
	return nil
}

// rows opens connections for samples, and sends a packet of each.
func (m *measuring) rows(samples []*sample) {
	var plans []*plan
	of := map[*plan]*sample{}
	for _, t := range samples {
		s := &search{world: t.half.world, rand: m.rand}
		e := &entry{rule: Rule{Fate: Matched}} // nothing is looked for of it
		for _, p := range m.plansIn(e, s, &t.box, t.state) {
			of[p] = t
			plans = append(plans, p)
		}
		t.why = "no connection of which it is was let open"
	}
	const most = 3
	for at := range most {
		m.advance(plans, at)
	}
	for _, p := range plans {
		t := of[p]
		if t.shown || t.half.wrong[t.share] != nil || p.failedBefore() {
			continue
		}
		t.point, t.sent, t.heard = p.meant(), p.sent, p.heard
		if !t.half.hull.has(&t.point) {
			t.why = "its connections go elsewhere, as they are translated"
			continue
		}
		m.judge(t)
	}
}

// failedBefore says whether a packet before the last one did not come through.
func (p *plan) failedBefore() bool { return len(p.sent) < len(p.points) }

// meant is the last packet as it is where it is filtered: the kernel translates it as it did the connection's first one.
func (p *plan) meant() point {
	at, first, last := p.points[len(p.points)-1], p.sent[0], p.sent[len(p.sent)-1]
	to := p.left.Destination
	if last.Destination == p.left.Source || last.Destination == first.Source { // it is an answer
		to = first.Source
	}
	at[fieldSrc], at[fieldDst] = addrNumber(last.Source.Addr()), addrNumber(to.Addr())
	if hasPorts(last.Protocol) {
		at[fieldSport], at[fieldDport] = small(uint64(last.Source.Port())), small(uint64(to.Port()))
	}
	if at[fieldOut].lo != 0 && p.heard.out != 0 {
		at[fieldOut] = small(uint64(p.heard.out))
	}
	return at
}

// judge compares what the kernel did with a packet with what the model says.
func (m *measuring) judge(t *sample) {
	h := &t.heard
	switch {
	case h.err != nil:
		t.why = h.err.Error()
		return
	case !h.ended:
		t.why = m.fateOf(h)
		return
	}
	did, own := m.outcomeOf(h), t.half.expected(t.point)
	expected := slices.Contains(own, did)
	inState := func(state uint64) bool {
		other := t.point
		other[fieldState] = small(state)
		return slices.Contains(t.half.expected(other), did)
	}
	switch {
	case expected && t.half.shares[t.share].box.has(&t.point):
		t.shown = true
	case expected, t.half.effects.Tracks && slices.ContainsFunc(statesInOrder, inState):
		t.why = "connection tracking takes no such packet for " + stateWords[t.state]
	default:
		t.half.wrong[t.share] = &contradiction{
			text: fmt.Sprintf("not known: by the rules %s, by the kernel %s", outcomesText(own), did),
			why:  fmt.Sprintf("%s was %s", packetsText(t.sent), did),
		}
	}
}

// contradiction is that the kernel did otherwise with a packet than the model says.
type contradiction struct{ text, why string }

// expected are the outcomes that the model has for a packet: those of all shares that it is in.
func (h *half) expected(p point) (all []outcome) {
	for i := range h.shares {
		if s := &h.shares[i]; s.box.has(&p) {
			all = append(all, s.end)
		}
	}
	return all
}

// outcomeOf is what the kernel did, as the model has outcomes.
func (m *measuring) outcomeOf(h *heard) (o outcome) {
	var base *inspect.Chain // where the packet is: rules that it meets elsewhere are led to from there
	for _, s := range h.steps {
		e := m.byPlace[s.place]
		if e == nil {
			continue
		}
		if e.chain.Hook != "" {
			base = e.chain
		}
		if base == nil || !s.decides() {
			continue
		}
		if s.verdict == 0 {
			return outcome{drops: true, by: e, nat: o.nat}
		}
		rule := 0
		if e.of != nil {
			rule = 1
			if to, is := targetOf(e.of); is {
				o.nat[to.which()] = e
			}
		}
		o.let(base, e, rule)
	}
	return o
}
