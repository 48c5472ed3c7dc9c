package policy

import (
	"context"
	"slices"

	"github.com/nstest/nstest/probes/internal/wire"
)

// plan is a connection that is opened so that a rule meets a packet of it.
type plan struct {
	entry  *entry
	world  *world
	points []point // in the order in which they are sent; the last one is to meet the rule
	quotes bool    // the last one is an error about the first
	sent   []Packet
	failed bool
	shut   bool // the first one was dropped
	// left is the first one as it went on: it may have been translated.
	left Packet
	// heard is what the kernel did with the last one.
	heard heard
}

// mostPlans is how many connections are tried for a rule.
const mostPlans = 12

// connections tries packets of connections for the rules that ask for such, and none met.
func (c *cover) connections(ctx context.Context) error {
	var plans []*plan
	c.knock()
	for _, e := range c.entries {
		if e.done() {
			continue
		}
		before := len(plans)
		for _, s := range slices.Concat(e.over, e.searches) {
			if s.effects.Tracks && len(plans)-before < mostPlans {
				made := c.plans(e, s)
				plans = append(plans, made[:min(len(made), mostPlans-(len(plans)-before))]...)
			}
		}
	}
	if err := c.follow(ctx, plans); err != nil {
		return err
	}
	return c.reopen(ctx, plans)
}

// follow sends the packets of plans, the first ones first.
func (c *cover) follow(ctx context.Context, plans []*plan) error {
	const most = 3
	for at := range most {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.advance(plans, at)
	}
	return nil
}

// advance sends of each plan the packet whose turn it is.
func (c *cover) advance(plans []*plan, at int) {
	var tasks []*task
	var of []*plan
	for _, p := range plans {
		if p.failed || at >= len(p.points) {
			continue
		}
		t := &task{packet: p.packet(at)}
		t.stays = at+1 < len(p.points) || t.packet.In == "lo"
		p.sent = append(p.sent, t.packet)
		tasks, of = append(tasks, t), append(of, p)
	}
	c.kernel.ask(tasks)
	c.sent += len(tasks)
	for i, t := range tasks {
		p := of[i]
		c.credit(&t.heard, p.sent)
		p.failed = t.heard.drops || !t.heard.ended
		if at == 0 {
			p.shut, p.left = t.heard.drops, t.packet
			if len(t.heard.header) > 0 {
				p.left.Source, p.left.Destination = endsOf(t.heard.header)
			}
		}
		if at+1 == len(p.points) {
			p.heard = t.heard
		}
		if at+1 == len(p.points) && !p.entry.done() {
			p.entry.met = c.fateOf(&t.heard)
		}
	}
}

// packet is the one whose turn it is: what answers the first goes to who that seems to come from.
func (p *plan) packet(at int) Packet {
	made := p.world.packetOf(p.points[at])
	if at == 0 {
		return made
	}
	if first := p.sent[0]; made.Source == first.Destination && made.Destination == first.Source {
		made.Source, made.Destination = p.left.Destination, p.left.Source
	}
	if p.quotes && at+1 == len(p.points) {
		made.quote = &p.left
		made.Destination = portless(p.left.Source)
	}
	return made
}

// plans are connections of which a packet may be what a search looks for.
func (c *cover) plans(e *entry, s *search) (all []*plan) {
	var wanted, related []box
	for _, b := range s.newSearch(s.goal, s.reachOf(s.goal.base.of), c.rand).open {
		switch {
		case b[fieldState].has(small(stateEstablished)):
			b[fieldState] = just(stateEstablished)
			wanted = append(wanted, b)
		case b[fieldState].has(small(stateRelated)):
			b[fieldState] = just(stateRelated)
			related = append(related, b)
		}
	}
	slices.Reverse(wanted) // the plainest first
	slices.Reverse(related)
	for _, natural := range []bool{true, false} {
		for i := range wanted[:min(len(wanted), mostPlans)] {
			all = append(all, c.answers(e, s, &wanted[i], natural)...)
		}
		if len(all) > 0 {
			break
		}
	}
	for i := range related[:min(len(related), mostPlans)] {
		all = append(all, c.errors(e, s, &related[i])...)
	}
	return all
}

// plansIn are some for a packet of a box, of a state that asks for a connection: an error about one, or a packet of one, between
// two of whom one was let through where there is such.
func (c *cover) plansIn(e *entry, s *search, b *box, state uint64) (some []*plan) {
	if state == stateRelated {
		some = c.errors(e, s, b)
	} else if some = c.answers(e, s, b, true); len(some) == 0 {
		some = c.answers(e, s, b, false)
	}
	return some[:min(len(some), mostPlans)]
}

// answers are plans for a packet of a connection: first as an answer to what was let through, like one that
// was, then as a second packet of its own.
// Natural are those between the same two, the same way.
func (c *cover) answers(e *entry, s *search, b *box, natural bool) (all []*plan) {
	for _, like := range c.openers(s.world) {
		back := like.reverse()
		if !natural || b.between(&back) {
			answer := s.near(b, &back, synAck)
			all = append(all, &plan{entry: e, world: s.world, points: []point{answer.opens(), answer}})
		}
		if !natural || b.between(&like) {
			again := s.near(b, &like, ack)
			all = append(all, &plan{entry: e, world: s.world, points: []point{again.first(), again.first().replies(), again}})
		}
		if len(all) >= mostPlans {
			break
		}
	}
	return all
}

// between says whether a box has packets between the same two, the same way.
func (b *box) between(p *point) bool {
	for _, f := range []field{fieldIn, fieldOut, fieldSrc, fieldDst} {
		if !b[f].has(p[f]) {
			return false
		}
	}
	return true
}

// errors are plans for an ICMP error about what was let through.
func (c *cover) errors(e *entry, s *search, b *box) (all []*plan) {
	for _, like := range c.openers(s.world) {
		about := s.fresh(like)
		back := about.reverse()
		back[fieldState] = small(stateRelated)
		for _, kind := range errorKinds(s.v6) {
			back[fieldProto], back[fieldType], back[fieldCode] = small(kind[0]), small(kind[1]), small(kind[2])
			if b.has(&back) {
				all = append(all, &plan{entry: e, world: s.world, points: []point{about, back}, quotes: true})
				break
			}
		}
	}
	return all
}

// errorKinds are errors of ICMP: the protocol, types and codes that are common.
func errorKinds(v6 bool) [][3]uint64 {
	if v6 {
		return [][3]uint64{{protoICMPv6, 1, 0}, {protoICMPv6, 1, 1}, {protoICMPv6, 1, 4}, {protoICMPv6, 2, 0}, {protoICMPv6, 3, 0}, {protoICMPv6, 4, 0}}
	}
	return [][3]uint64{{protoICMP, 3, 1}, {protoICMP, 3, 0}, {protoICMP, 3, 3}, {protoICMP, 3, 4}, {protoICMP, 11, 0}, {protoICMP, 12, 0}}
}

// openers are packets that were let through, a few of each protocol and way.
func (c *cover) openers(w *world) (some []point) {
	type kind struct{ in, out, protocol number }
	seen := map[kind]bool{}
	for _, p := range c.passed {
		k := kind{p.p[fieldIn], p.p[fieldOut], p.p[fieldProto]}
		if p.in == w && !seen[k] && p.p[fieldIn].lo != lo && p.p[fieldOut].lo != lo {
			seen[k] = true
			some = append(some, p.p)
		}
	}
	return some
}

// TCP's flags in an answer, and afterwards.
const (
	syn    = wire.SYN
	synAck = wire.SYN | wire.ACK
	ack    = wire.ACK
)

// near is the packet of a box that is most like another one.
func (s *search) near(b *box, like *point, flags uint64) point {
	p := s.pick(b)
	for f := range p {
		if b[f].has(like[f]) {
			p[f] = like[f]
		}
	}
	p = s.freshIn(b, p)
	if p[fieldFlags] = small(flags); !b[fieldFlags].has(p[fieldFlags]) {
		p[fieldFlags] = s.pick(b)[fieldFlags]
	}
	p[fieldState] = small(stateEstablished)
	return p
}

// freshIn gives it a port that no connection had, if it may have one.
func (s *search) freshIn(b *box, p point) point {
	for _, f := range []field{fieldSport, fieldDport} {
		if fresh := s.fresh(p)[fieldSport]; p[f].lo >= lowestPort && b[f].has(fresh) {
			p[f] = fresh
			break
		}
	}
	return p
}

// fresh is the packet from another port.
func (s *search) fresh(p point) point {
	p[fieldSport] = anyPort(s.rand)
	return p
}

// first is the packet that opens a connection, of one of its packets.
func (p point) first() point {
	p[fieldState], p[fieldFlags] = small(stateNew), small(syn)
	return p
}

// opens is the packet that opens a connection, of the answer to it.
func (p point) opens() point { return p.reverse().first() }

// replies is the answer to what opens a connection.
func (p point) replies() point {
	p = p.reverse()
	p[fieldState], p[fieldFlags] = small(stateEstablished), small(synAck)
	return p
}
