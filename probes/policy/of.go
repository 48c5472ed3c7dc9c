package policy

import (
	"context"
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// Of says what the rules of a node do, as flows and not as rules: for each pair of zones the classes of packets that have one
// ending, with the rule that gives it. Zones are the node's interfaces, the addresses that a Zone names, and the node itself.
//
// The classes follow from the model of the rules (see the package), and are all that the rules' own constants tell apart. Of
// each part a packet was sent through the rules of a twin, and the kernel's trace has shown that it ends as is told: where the kernel did
// otherwise, the part is told as Unknown, and where no packet of it could be made, as not tried. The lab is left alone. What is not told at
// all (who is behind an interface where nobody is, rules of bridges and of iptables-legacy, what is too much to be followed), Policy.Notes names.
//
// A flow of one family is followed as far as 4,096 shares of its packets, some hundreds of rules; with more it is noted, and not told.
//
// The error is that of harness.Lab.Twin where there is none, that the lab has no such node, a Zone that says nothing,
// that a socket could not be opened, or the context's.
func Of(ctx context.Context, lab *harness.Lab, node string, options ...Option) (Policy, error) {
	p := Policy{Node: node}
	if lab != nil {
		p.Lab = lab.Name()
	}
	err := withTwin(ctx, lab, node, func(twin *harness.Node) error {
		c, err := openCover(twin)
		if err != nil {
			return err
		}
		defer c.kernel.close()
		m := &measuring{cover: c, policy: &p}
		if m.zones, err = zonesOf(twin, c.state.Links, options); err != nil {
			return err
		}
		err = m.run(ctx)
		p.Packets = c.sent
		return err
	})
	if err != nil {
		return p, fmt.Errorf("policy of node %s: %w", node, err)
	}
	return p, nil
}

// measuring is a node's policy while it is measured.
type measuring struct {
	*cover
	policy *Policy
	zones  []zone
	halves []*half
}

// half are the packets of one family from one zone to another.
type half struct {
	*world
	from, to int
	hull     box
	never    []box // of the hull that there are not
	shares   []share
	samples  []*sample
	wrong    map[int]*contradiction // shares with which the kernel did otherwise
	found    *classes
}

func (m *measuring) run(ctx context.Context) error {
	for from := range m.zones {
		for to := range m.zones {
			for _, w := range m.worlds {
				if err := ctx.Err(); err != nil {
					return err
				}
				m.split(w, from, to)
			}
		}
	}
	if err := m.tryAll(ctx); err != nil {
		return err
	}
	m.tell()
	m.notes()
	return ctx.Err()
}

// split divides the packets of a family from one zone to another by what they meet.
func (m *measuring) split(w *world, from, to int) {
	boxes := w.between(m.zones, from, to)
	if len(boxes) == 0 {
		return
	}
	h := &half{world: w, from: from, to: to, wrong: map[int]*contradiction{}}
	h.hull, h.never = w.hull(boxes)
	h.never = slices.Concat(h.never, w.impossible, w.cutShort(), w.atPorts())
	var ok bool
	if h.shares, ok = w.divideAll(h.hull, w.wayOf(m.zones[from], m.zones[to]), m.byPlace); !ok {
		m.note(h, fmt.Sprintf("more than %d shares of packets", mostShares))
		return
	}
	m.halves = append(m.halves, h)
}

// note says that a half is not told.
func (m *measuring) note(h *half, why string) {
	m.remark(fmt.Sprintf("%s -> %s in %s: %s", m.zones[h.from].name, m.zones[h.to].name, familyWord(h.v6), why))
}

func (m *measuring) remark(text string) {
	m.policy.Notes = union(m.policy.Notes, text)
}

func familyWord(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}

// notes say what is not told of the node.
func (m *measuring) notes() {
	for _, t := range m.set.Tables {
		switch {
		case t.Dormant():
		case t.Family != "ip" && t.Family != "ip6" && t.Family != "inet":
			m.remark("rules of family " + t.Family)
		default:
			for _, ch := range t.Chains {
				if ch.Hook != "" && !slices.Contains(known, ch.Hook) {
					m.remark(fmt.Sprintf("what %s does at the hook %s", ch, ch.Hook))
				}
			}
		}
	}
	if m.state.Legacy {
		m.remark("rules of iptables-legacy")
	}
	m.routed()
	for _, z := range m.zones {
		if z.own || slices.ContainsFunc(m.halves, func(h *half) bool { return m.zones[h.from].name == z.name }) {
			continue
		}
		if z.index != 0 {
			m.remark("what comes from " + z.name + ": in this lab nobody can send in there")
		} else {
			m.remark("zone " + z.name + ": none of its addresses is behind an interface where somebody can send in")
		}
	}
	slices.Sort(m.policy.Notes)
}

// routed says of what is routed by other tables than those of most that it is not told.
func (m *measuring) routed() {
	for _, l := range m.state.Links {
		if l.Kind == "vrf" {
			m.remark("of the VRF " + l.Name + ": what the node itself sends by it, and what is for one of its links alone")
		}
	}
	for _, r := range m.state.PolicyRules {
		own := r.L3Master || r.Table == unix.RT_TABLE_LOCAL || r.Table == unix.RT_TABLE_MAIN || r.Table == unix.RT_TABLE_DEFAULT
		if !own {
			m.remark(fmt.Sprintf("what goes as policy routing rules have it, in %s", familyWord(r.V6)))
		}
	}
}
