package topo

import (
	"fmt"
	"strings"
)

// maxListed is how many of a kind a note lists, or a line of a table: a thousand
// tenants with one prefix are a thousand notes.
const maxListed = 10

// places are targets as a note lists them.
type places struct {
	first []target
	count int
}

func (l *places) add(t target) {
	if l.count++; l.count <= maxListed {
		l.first = append(l.first, t)
	}
}

// noteOverlap notes what overlapping targets mean to a node: no routes to far
// ones, or subnets of its own that only the kernel's order tells apart.
func (p *planner) noteOverlap(node int, far, own, subnets places) {
	switch {
	case far.count == 0 && subnets.count > 1:
		p.note("node %s: its own %s overlap", p.nodeName(node), p.list(subnets))
	case far.count == 0:
	case own.count == 1:
		p.noteLeft(node, far, "its own "+p.list(own)+" overlaps")
	case own.count > 1:
		p.noteLeft(node, far, "its own "+p.list(own)+" overlap")
	case far.count > 1:
		p.noteLeft(node, far, "they overlap")
	default:
		p.noteLeft(node, far, "one that the declaration routes overlaps it")
	}
}

// noteLeft notes which targets a node has no automatic route to.
func (p *planner) noteLeft(node int, far places, why string) {
	p.note("node %s: no automatic route to %s: %s", p.nodeName(node), p.list(far), why)
}

func (p *planner) note(format string, args ...any) {
	p.plan.Notes = append(p.plan.Notes, fmt.Sprintf(format, args...))
}

func (p *planner) list(l places) string {
	var names []string
	for _, t := range l.first {
		place := " of segment "
		if t.segment >= 0 {
			place += p.plan.Segments[t.segment].Name
		} else {
			place = " of node " + p.plan.Nodes[t.node].Name
		}
		names = append(names, t.prefix.String()+place)
	}
	return andMore(names, l.count)
}

// andMore joins names, and says how many there are besides.
func andMore(names []string, count int) string {
	joined := strings.Join(names, ", ")
	if more := count - len(names); more > 0 {
		joined += fmt.Sprintf(" and %d more", more)
	}
	return joined
}
