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
	alike := a.met() && a.With != nil && b.With != nil && slices.EqualFunc(a.Witness, b.Witness, Packet.isLike)
	switch {
	case alike && !a.withAnyPort().same(b.withAnyPort()):
		d.Changes = append(d.Changes, Change{Node: node, Witness: a.Witness, Before: *a.With, After: *b.With})
	case a.Fate != b.Fate:
		d.note(fmt.Sprintf("%s, which is %s before and %s after", a.where(), a.Fate, b.Fate))
	case a.met() && !alike:
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
	same := func(a, b netip.AddrPort) bool {
		return a == b || a.Addr() == b.Addr() && a.Port() >= lowestPort && b.Port() >= lowestPort
	}
	return p.In == o.In && same(p.Source, o.Source) && same(p.Destination, o.Destination) && p.Protocol == o.Protocol &&
		p.Type == o.Type && p.Code == o.Code && p.Flags == o.Flags && p.State == o.State && p.TTL == o.TTL && p.Short == o.Short
}

// withAnyPort is what became of the witness, whatever port it came from.
func (r Rule) withAnyPort() Verdict {
	v, last := *r.With, r.Witness[len(r.Witness)-1]
	v.Source, v.Destination = withoutPort(v.Source, last.Source), withoutPort(v.Destination, last.Destination)
	return v
}

// withoutPort is an end without its port, where that is the packet's own, and a kernel gave it who asked for none.
func withoutPort(end, own netip.AddrPort) netip.AddrPort {
	if end.Port() == own.Port() && end.Port() >= lowestPort {
		return portless(end)
	}
	return end
}

func portless(end netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(end.Addr(), 0) }
