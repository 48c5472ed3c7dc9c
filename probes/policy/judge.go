package policy

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// renew gives packets of a connection another port, if they have one that nobody asked for: a connection that was
// there is none that begins.
func (c *cover) renew(packets []Packet) []Packet {
	if len(packets) < 2 || packets[0].Source.Port() < lowestPort {
		return packets
	}
	old, fresh := packets[0].Source.Port(), uint16(anyPort(c.rand).lo)
	swap := func(end netip.AddrPort) netip.AddrPort {
		if end.Port() == old {
			return netip.AddrPortFrom(end.Addr(), fresh)
		}
		return end
	}
	made := make([]Packet, len(packets))
	for i, p := range packets {
		p.Source, p.Destination = swap(p.Source), swap(p.Destination)
		p.at[fieldSport], p.at[fieldDport] = small(uint64(p.Source.Port())), small(uint64(p.Destination.Port()))
		if p.quote != nil {
			about := *p.quote
			about.Source, about.Destination = swap(about.Source), swap(about.Destination)
			p.quote = &about
		}
		made[i] = p
	}
	return made
}

// row are tasks for packets that were made for a node with other indices of interfaces; nil where it has not got one.
func (c *cover) row(packets []Packet) (row []*task) {
	for i, p := range packets {
		in := 0
		if p.In != "" {
			if in = c.state.LinkNamed(p.In).Index; in == 0 || in != lo && c.kernel.ports[in] == nil {
				return nil
			}
		}
		p.at[fieldIn] = small(uint64(in))
		row = append(row, &task{packet: p, stays: i+1 < len(packets) || p.In == "lo"})
	}
	return row
}

// verdicts are what the kernel does with the last packet of each row; nil where it could not be asked.
func (c *cover) verdicts(all [][]Packet) (verdicts []*Verdict, rows [][]*task) {
	most := 0
	for _, packets := range all {
		row := c.row(packets)
		rows, most = append(rows, row), max(most, len(row))
	}
	for at := range most {
		var tasks []*task
		for _, row := range rows {
			if at < len(row) {
				row[at].follow(row[0])
				tasks = append(tasks, row[at])
			}
		}
		c.kernel.ask(tasks)
		c.sent += len(tasks)
	}
	for _, row := range rows {
		verdicts = append(verdicts, c.verdictOf(row))
	}
	return verdicts, rows
}

// follow has a later packet of a connection meet it as the first one was translated: an answer goes to who that seems to come from, and an
// error is about it as it left.
func (t *task) follow(first *task) {
	if t == first || len(first.heard.header) == 0 {
		return
	}
	sent, left := &first.packet, first.packet
	left.Source, left.Destination = endsOf(first.heard.header)
	p := &t.packet
	switch quote := p.quote; {
	case quote == nil && p.Source == sent.Destination && p.Destination == sent.Source:
		p.Source, p.Destination = left.Destination, left.Source
	case quote != nil && quote.Source == sent.Source && quote.Destination == sent.Destination:
		p.quote, p.Destination = &left, portless(left.Source)
	}
}

// verdictOf is what the kernel did with the last packet of a row; nil where one before did not come through, or it
// could not be heard.
func (c *cover) verdictOf(row []*task) *Verdict {
	if len(row) == 0 {
		return nil
	}
	for _, t := range row[:len(row)-1] {
		if !t.heard.passed() {
			return nil
		}
	}
	last := row[len(row)-1]
	return c.verdict(&last.packet, &last.heard)
}

// verdict is what the kernel did with a packet; nil where it could not be heard.
func (c *cover) verdict(p *Packet, h *heard) *Verdict {
	if h.err != nil {
		return nil
	}
	v := &Verdict{Passed: h.passed(), Lost: !h.ended, packet: p, heard: h}
	if by := c.decider(h); by != nil {
		v.By, v.rule, v.by = by.rule.where(), by.rule.Text, by
		if by.of != nil && c.keys != nil {
			v.rule = c.keys.shallow(by.of)
		}
		if !v.Passed && by.of != nil {
			v.Refusal = refusal(by.of, p.Source.Addr().Is6())
			if v.Rejected = v.Refusal != ""; h.drops {
				v.By = by.dropping(v.By)
			}
		}
	}
	if v.Passed {
		v.Source, v.Destination = endsOf(h.header)
		v.TTL, v.Class = hopsOf(h.header)
		if h.hooks[len(h.hooks)-1] == "postrouting" {
			v.Out = c.state.Link(h.out).Name
		}
	}
	return v
}

func rejects(e *entry) bool { return refusal(e.of, false) != "" }

// decider is the rule that is told of a packet: which dropped it, or translated it, or let it through where it was
// filtered last.
func (c *cover) decider(h *heard) (by *entry) {
	var translated *entry
	for _, s := range h.steps {
		e := c.byPlace[s.place]
		if e == nil || !s.decides() {
			continue
		}
		switch {
		case e.chain.Type != "nat", h.drops && s == h.steps[len(h.steps)-1]:
			by = e
		case e.of != nil:
			translated = e
		}
	}
	if translated != nil && !h.drops {
		return translated
	}
	return by
}

// endsOf are the addresses and ports of a header that the trace showed.
func endsOf(header []byte) (src, dst netip.AddrPort) {
	s, d, protocol := ends(header)
	const v4, v6 = 20, 40
	at := v4
	if s.Is6() {
		at = v6
	}
	var sport, dport uint16
	if hasPorts(protocol) && len(header) >= at+4 {
		sport, dport = binary.BigEndian.Uint16(header[at:]), binary.BigEndian.Uint16(header[at+2:])
	}
	return netip.AddrPortFrom(s, sport), netip.AddrPortFrom(d, dport)
}

// hopsOf are the TTL and the traffic class of a header.
func hopsOf(header []byte) (ttl, class uint8) {
	const v4, v6 = 20, 40
	switch {
	case len(header) >= v4 && header[0]>>4 == 4:
		return header[8], header[1]
	case len(header) >= v6:
		return header[7], header[0]<<4 | header[1]>>4
	}
	return 0, 0
}

// plainness is how much a packet is like those that people send: from who is there, to who is there.
func (c *cover) plainness(p Packet) (n int) {
	if c.isNear(&p) {
		n += 4
	}
	w := c.worldOf(&p)
	for _, end := range []netip.AddrPort{p.Source, p.Destination} {
		if slices.Contains(w.addrs, addrNumber(end.Addr())) {
			n++
		}
	}
	return n
}
