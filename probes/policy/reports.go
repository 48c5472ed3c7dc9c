package policy

import (
	"fmt"
	"net/netip"
	"slices"
)

// CompareReports says what two kernels, or two labs, did otherwise with the packets of one ruleset: each wrote its Report, as JSON or not. Rules
// are the same if their places are. Compared are the packets that both reports have for a rule, whatever port they came from; all else
// is noted.
//
// It asks no kernel: a change is told after each was asked once. See Compare for two labs that can be asked.
func CompareReports(before, after Report) Difference {
	d := Difference{Packets: before.Packets + after.Packets}
	left := map[position]Rule{}
	for _, r := range after.Rules {
		left[r.position()] = r
	}
	for _, a := range before.Rules {
		b, is := left[a.position()]
		if delete(left, a.position()); !is {
			d.note(a.where() + ", which is not there after")
			continue
		}
		d.compareRules(before.Node, a, b)
	}
	for _, b := range after.Rules {
		if _, is := left[b.position()]; is {
			d.note(b.where() + ", which was not there before")
		}
	}
	return d
}

func (d *Difference) compareRules(node string, a, b Rule) {
	switch {
	case a.met() && b.met() && a.With != nil && b.With != nil && slices.EqualFunc(a.Witness, b.Witness, Packet.isLike):
		one, other := *a.With, *b.With
		if last := len(a.Witness) - 1; one.Passed && other.Passed { // from whatever port
			one.Source, other.Source = fromAny(one.Source, a.Witness[last]), fromAny(other.Source, b.Witness[last])
			one.Destination, other.Destination = toAny(one.Destination, a.Witness[last]), toAny(other.Destination, b.Witness[last])
		}
		if !one.same(other) {
			d.Changes = append(d.Changes, Change{Node: node, Witness: a.Witness, Before: *a.With, After: *b.With})
		} else if a.Fate != b.Fate {
			d.note(fmt.Sprintf("%s, which is %s before and %s after", a.where(), a.Fate, b.Fate))
		}
	case a.Fate != b.Fate:
		d.note(fmt.Sprintf("%s, which is %s before and %s after", a.where(), a.Fate, b.Fate))
	case a.met():
		d.note(a.where() + ", of which the two were asked about other packets")
	}
}

// position is where a rule or policy stands, in whatever lab.
type position struct {
	family, table, chain string
	number               int
}

func (r Rule) position() position { return position{r.Family, r.Table, r.Chain, r.Position} }

func (r Rule) met() bool { return len(r.Witness) > 0 }

// isLike says whether two packets are one, whatever ports a kernel gave who asked for none.
func (p Packet) isLike(o Packet) bool {
	if low, other := p.Source.Port() < lowestPort, o.Source.Port() < lowestPort; low || other {
		if p.Source != o.Source {
			return false
		}
	}
	same := func(a, b netip.AddrPort) bool {
		return a == b || a.Addr() == b.Addr() && a.Port() >= lowestPort && b.Port() >= lowestPort
	}
	return p.In == o.In && same(p.Source, o.Source) && same(p.Destination, o.Destination) && p.Protocol == o.Protocol &&
		p.Type == o.Type && p.Code == o.Code && p.Flags == o.Flags && p.State == o.State && p.TTL == o.TTL && p.Short == o.Short
}

// fromAny and toAny are an end without the port, where it is the packet's own.
func fromAny(end netip.AddrPort, p Packet) netip.AddrPort { return withoutPort(end, p.Source) }
func toAny(end netip.AddrPort, p Packet) netip.AddrPort   { return withoutPort(end, p.Destination) }

func withoutPort(end, own netip.AddrPort) netip.AddrPort {
	if end.Port() == own.Port() && end.Port() >= lowestPort {
		return netip.AddrPortFrom(end.Addr(), 0)
	}
	return end
}
