package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/nstest/nstest/harness/inspect"
)

// Drawing is a rule that gives packets a source port which chance picks of several: masquerade to
// :2000-2009, snat ... random, and those of iptables.
type Drawing struct {
	Rule     fmt.Stringer
	From, To uint16
}

// String is `rule 3 of ip n o picks the source port of 2000 to 2009 by chance`.
func (d Drawing) String() string {
	return fmt.Sprintf("%s picks the source port of %d to %d by chance", d.Rule, d.From, d.To)
}

// Holds says whether it may pick a port.
func (d Drawing) Holds(port uint16) bool { return d.From <= port && port <= d.To }

// unprivileged is the first port of which a random one is picked, where a rule names none and the
// packet's own is not below.
const unprivileged = 1024

// randomly is the drawing of a rule that names no ports.
func randomly(rule fmt.Stringer) Drawing { return Drawing{rule, unprivileged, lastPort} }

// drawingOf is a rule's; false where it gives no source port by chance.
func drawingOf(rule *inspect.Rule) (Drawing, bool) {
	f := forwards{set: func(name string) *inspect.Set { return rule.Chain.Table.Sets[name] }}
	for _, e := range rule.Exprs {
		switch e := e.(type) {
		case *expr.NAT:
			if e.Type == expr.NATTypeSourceNAT {
				return f.drawing(rule, e.Random || e.FullyRandom, e.RegProtoMin, e.RegProtoMax)
			}
		case *expr.Masq:
			return f.drawing(rule, e.Random || e.FullyRandom, e.RegProtoMin, e.RegProtoMax)
		case *expr.Target:
			return targetDrawing(rule, e)
		default:
			f.step(e)
		}
	}
	return Drawing{}, false
}

// drawing is what registers say of a range of ports; 0 is no register.
func (f *forwards) drawing(rule fmt.Stringer, random bool, first, last uint32) (d Drawing, is bool) {
	if first != 0 {
		f.port(first, last)
	}
	switch {
	case first == 0 && !random, first != 0 && !f.any && !ranges(f.to):
		return Drawing{}, false
	case first == 0 || f.any || len(f.to) == 0:
		return randomly(rule), true
	}
	d = Drawing{rule, f.to[0].from, f.to[0].to}
	for _, s := range f.to {
		d.From, d.To = min(d.From, s.from), max(d.To, s.to)
	}
	return d, true
}

// targetDrawing is one of iptables-nft.
func targetDrawing(rule fmt.Stringer, e *expr.Target) (d Drawing, is bool) {
	if e.Name != "SNAT" && e.Name != "MASQUERADE" {
		return Drawing{}, false
	}
	take := func(flags uint, first, last uint16) {
		named, random := xt.NatRangeFlags(flags)&xt.NatRangeProtoSpecified != 0, xt.NatRangeFlags(flags)&xt.NatRangeProtoRandomAll != 0
		switch {
		case named && first != last:
			d, is = Drawing{rule, min(first, last), max(first, last)}, true
		case !named && random:
			d, is = randomly(rule), true
		}
	}
	if !natRanges(e, take) {
		return randomly(rule), true
	}
	return d, is
}

// DrawnByLegacy is drawingOf for a rule of iptables-legacy.
func DrawnByLegacy(rule *inspect.LegacyRule) (d Drawing, is bool) {
	if rule.Target != "SNAT" && rule.Target != "MASQUERADE" {
		return Drawing{}, false
	}
	random := false
	for _, o := range rule.Options {
		switch {
		case strings.HasPrefix(o.Name, "--random"):
			random = true
		case (o.Name == "--to-ports" || o.Name == "--to-source") && len(o.Values) == 1:
			spans, has, known := portsTo(o.Values[0], o.Name == "--to-source")
			if has && (!known || ranges(spans)) {
				d, is = randomly(rule), true
			}
			if has && known {
				d.From, d.To, random = spans[0].from, spans[0].to, false
			}
		}
	}
	if is || !random {
		return d, is
	}
	return randomly(rule), true
}

// Drawn is the first rule of a packet's steps that gave it a source port by chance.
func (b *Chains) Drawn(steps []Step) (Drawing, bool) {
	at := slices.IndexFunc(steps, func(s Step) bool { return b.drawnAt(s).Rule != nil })
	if at < 0 {
		return Drawing{}, false
	}
	return b.drawnAt(steps[at]), true
}

func (b *Chains) drawnAt(s Step) (d Drawing) {
	if !b.draws {
		return d
	}
	if c := b.chain(s.Family+" "+s.Table, s.Chain); c != nil {
		for i := range c.list {
			if c.list[i].id == s.Handle {
				d = c.list[i].drawing
			}
		}
	}
	return d
}

// Draws are the rules that may pick a source port by chance.
func (b *Chains) Draws() (all []Drawing) {
	if !b.draws {
		return nil
	}
	for _, c := range b.by {
		for i := range c.list {
			if d := c.list[i].drawing; d.Rule != nil {
				all = append(all, d)
			}
		}
	}
	slices.SortFunc(all, func(d, e Drawing) int { return strings.Compare(d.String(), e.String()) })
	return all
}

// ChoosingDrawn are the rules by which a packet could have ended otherwise, or gone another way,
// had it come with another of the ports that a rule before gave it one of. Where that is the node
// that gives it, those of chains count that follow the rule's.
func (b *Chains) ChoosingDrawn(p Packet, steps []Step, by Drawing, here bool) (found []Choice) {
	p.Fixed &^= SourcePort
	d := &decision{book: b, packet: p, steps: steps, free: true}
	before := here
	for len(d.steps) > 0 {
		had, at := len(d.choices), d.steps
		if !d.section() {
			break
		}
		if before {
			_, is := b.Drawn(at[:len(at)-len(d.steps)])
			before = !is
			continue
		}
		for _, c := range d.choices[had:] {
			if c.Traits&SourcePort != 0 && by.Tells(c) {
				found = append(found, c)
			}
		}
	}
	return found
}

// Tells says whether a choice is not the same for all ports that may be picked.
func (d Drawing) Tells(c Choice) bool {
	const all = 4096 // of a wider range the edges and so many are tried
	ports := append(c.Edges(), d.From, d.To)
	for port := int(d.From); port <= int(d.To) && port < int(d.From)+all; port++ {
		ports = append(ports, uint16(port))
	}
	first := c.At(d.From)
	return slices.ContainsFunc(ports, func(port uint16) bool { return d.Holds(port) && c.At(port) != first })
}

// TellsAnswers says whether rules tell apart the destination ports that an answer may come with, which
// goes to one that was picked.
func (d Drawing) TellsAnswers(set *inspect.Ruleset, p Packet) bool {
	const consecutive = 16
	ports := []uint16{d.To}
	for port := int(d.From); port < int(d.From)+consecutive; port++ {
		ports = append(ports, uint16(port))
	}
	for _, named := range Named(set) {
		if p.Protocol != nil && named.Protocol == *p.Protocol && !named.Source {
			ports = append(ports, named.Number)
		}
	}
	does := matching(set, p)
	return slices.ContainsFunc(ports, func(port uint16) bool {
		p := p
		p.DstPort = &port
		return d.Holds(port) && matching(set, p) != does
	})
}
