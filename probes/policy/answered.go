package policy

import "github.com/nstest/nstest/probes/internal/rules"

// answer asks for each rule that was met, and whose packets two nodes send each other, whether an answer comes through.
func (c *cover) answer() {
	var of []*entry
	var all [][]Packet
	for _, e := range c.entries {
		if packets := c.conversation(&e.rule); packets != nil {
			of, all = append(of, e), append(all, c.renew(packets))
		}
	}
	verdicts, _ := c.verdicts(all)
	for i, v := range verdicts {
		of[i].rule.Answered = v != nil && v.Passed
	}
	if !c.draws {
		return
	}
	for _, e := range c.entries {
		if e.rule.With != nil {
			e.rule.Drawn = c.drawn(e.rule.With)
		}
	}
}

// drawn is a rule by which chance decides about a packet; "" where there is none.
func (c *cover) drawn(v *Verdict) string {
	for _, m := range append(c.deciding(v), c.metMemories(v)...) {
		if draws(m) {
			return m.String()
		}
	}
	return ""
}

// draws says whether a rule decides by chance, or by which packet it is: numgen, statistic, a hash of what differs from flow to flow.
func draws(m rules.Memory) bool { return m.Kind == rules.Period || m.Kind == rules.Chance }

// conversation is what opens the connection of a rule's witness, an answer, and in TCP what follows; nil where a packet is none that
// nodes send each other, or does not come through as it is.
func (c *cover) conversation(r *Rule) []Packet {
	named := c.named(r.Witness[:min(len(r.Witness), 1)])
	if len(named) == 0 || !named[0].asked() || r.With == nil || !r.With.Passed || len(r.Witness) == 1 && r.translated() {
		return nil
	}
	first := named[0]
	w := c.worldOf(&first)
	first.at[fieldOut] = small(0)
	for _, index := range w.outward() {
		if dst := addrNumber(first.Destination.Addr()); !w.own.has(dst) && w.to(index).has(dst) {
			first.at[fieldOut] = small(uint64(index))
		}
	}
	packets := []Packet{first, w.packetOf(first.at.replies())}
	if first.Protocol == protoTCP {
		p := first.at
		p[fieldFlags], p[fieldState] = small(ack), small(stateEstablished)
		packets = append(packets, w.packetOf(p))
	}
	return packets
}

// translated says whether the witness went on with other ends than it came with.
func (r *Rule) translated() bool {
	last := r.Witness[len(r.Witness)-1]
	return r.With.Source != last.Source || r.With.Destination != last.Destination
}

// asked says whether a probe of nodes is such a packet: it opens a connection, and both ends are nodes'.
func (p *Packet) asked() bool {
	plain := p.From != "" && p.To != "" && p.From != p.To && !p.Short && p.Length == 0 && p.TTL == usualTTL
	switch p.Protocol {
	case protoTCP:
		return plain && p.Flags == syn && p.Source.Port() >= lowestPort && p.Destination.Port() > 0
	case protoUDP:
		return plain && p.State != "invalid" && p.Source.Port() >= lowestPort && p.Destination.Port() > 0
	case protoICMP, protoICMPv6:
		const echo4, echo6 = 8, 128
		return plain && p.Code == 0 && (p.Protocol == protoICMP && p.Type == echo4 || p.Protocol == protoICMPv6 && p.Type == echo6) &&
			p.Source.Addr().Is6() == (p.Protocol == protoICMPv6)
	}
	return false
}
