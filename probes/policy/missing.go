package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/watch"
)

// trial are packets of which the last one is decided by a rule, to be sent again where that rule is not.
type trial struct {
	entry   *entry
	packets []Packet
	sent    []Packet // as they were, by their translation
	with    *Verdict
	// touches are the other rules that may have the packets, with the rule or without it.
	touches map[*entry]bool
	alike   bool // by all that is known, no packet is treated otherwise
}

// mostGroups is in how many twins rules are deleted, each time.
const mostGroups = 12

// miss deletes each rule that decided, in twins, to see what becomes of its packets.
func (c *cover) miss(ctx context.Context) error {
	for _, most := range []int{1, mostApart} {
		trials := c.compareWith(c.trials(most))
		for _, group := range grouped(trials) {
			if err := ctx.Err(); err != nil {
				return err
			}
			err := c.fresh(func(twin *harness.Node) error { return c.without(twin, group) })
			if err != nil {
				return fmt.Errorf("without rules: %w", err)
			}
		}
	}
	return nil
}

// mostApart is how many packets are tried for a rule that the kernel did not treat otherwise as was thought.
const mostApart = 6

// trials are what is to be tried of each rule that decided, and of which nothing is known yet.
func (c *cover) trials(most int) (all []*trial) {
	for _, e := range c.entries {
		if e.rule.Fate != Decided || e.of == nil || e.rule.Without != nil {
			continue
		}
		if most == 1 || e.rule.Why == notSeen {
			all = append(all, c.trialsOf(e, most)...)
		}
	}
	return all
}

// trialsOf looks at some packets first, which is enough where a rule matters; then whether there is any that matters, then for it.
func (c *cover) trialsOf(e *entry, most int) []*trial {
	ways := slices.Concat(e.over, e.searches)
	if most > 1 {
		return c.apart(e, ways, most, mostTries)
	}
	e.rule.Why = notSeen
	if found := c.apart(e, ways, 1, 1); len(found) > 0 {
		return found
	}
	touches := map[*entry]bool{}
	why := c.unlike(e, ways, touches)
	if why == "" {
		return []*trial{{entry: e, packets: e.rule.Witness, touches: touches, alike: true}}
	}
	found := c.apart(e, ways, 1, mostTries)
	if len(found) == 0 {
		e.rule.Why = why
	}
	return found
}

// apart are packets of a rule that meet another verdict without it, as far as is known.
func (c *cover) apart(e *entry, ways []*search, most, tries int) (all []*trial) {
	for _, s := range ways {
		from := s.newSearch(s.goal, s.reachOf(s.goal.base.of), s.rand)
		from.apart(most, tries, func(b *box, p point, d *detour, differs bool) {
			if !differs {
				return
			}
			rows := c.rowsFor(s, b, p)
			for _, packets := range rows[:min(len(rows), most)] {
				all = append(all, &trial{entry: e, packets: packets, touches: c.touched(d)})
			}
		})
		if most == 1 && len(all) > 0 {
			break
		}
	}
	return all
}

const notSeen = "no packet was seen to meet another verdict without it"

// unlike says why it cannot be said that no packet meets another verdict without a rule; "" where it can. Touched are then the
// rules that have its packets.
func (c *cover) unlike(e *entry, ways []*search, touched map[*entry]bool) (why string) {
	if logs(e.of) {
		return "without it nobody tells of its packets"
	}
	for _, s := range ways {
		ever := s.newSearch(s.goal, s.ever(s.goal.base.of.Hook), s.rand)
		if len(ever.open) > 0 && !s.goal.line.exact() {
			return "whether packets meet another verdict without it is not known: " + s.goal.line.whatLacks()
		}
		all := ever.apart(1, mostTries, func(_ *box, p point, d *detour, differs bool) {
			maps.Copy(touched, c.touched(d))
			if differs {
				why = fmt.Sprintf("without it another verdict would meet %s, which this lab does not send", s.packetOf(p))
			}
		})
		if !all && why == "" {
			why = "whether packets meet another verdict without it is not known"
		}
		if why != "" {
			return why
		}
	}
	return ""
}

// compareWith asks what the kernel does with each as the rules are; those are left that the rule decides.
func (c *cover) compareWith(all []*trial) (some []*trial) {
	rows := make([][]Packet, len(all))
	for i, t := range all {
		t.packets = c.renew(t.packets)
		rows[i] = t.packets
	}
	verdicts, asked := c.verdicts(rows)
	for i, t := range all {
		if t.with = verdicts[i]; t.with == nil || !c.decidedBy(t) || c.remembers && len(c.deciding(t.with)) > 0 {
			continue
		}
		t.sent = nil
		for _, row := range asked[i] {
			t.sent = append(t.sent, row.packet)
			for _, s := range row.heard.steps {
				if e := c.byPlace[s.place]; e != nil && e != t.entry {
					t.touches[e] = true
				}
			}
		}
		c.touchLater(t)
		some = append(some, t)
	}
	return some
}

// decidedBy says whether the trial's rule gave the last packet its verdict.
func (c *cover) decidedBy(t *trial) bool {
	return slices.ContainsFunc(t.with.heard.steps, func(s step) bool { return c.byPlace[s.place] == t.entry && s.decides() })
}

// without deletes the rules of a group in a twin, and asks its kernel.
func (c *cover) without(twin *harness.Node, g *party) error {
	side, err := c.alike(twin)
	if err != nil {
		return err
	}
	defer side.kernel.close()
	if err := c.delete(side, g.gone); err != nil {
		return err
	}
	var rows [][]Packet
	for _, t := range g.trials {
		rows = append(rows, t.packets)
	}
	verdicts, _ := side.verdicts(rows)
	c.sent += side.sent
	for i, t := range g.trials {
		if without := verdicts[i]; without != nil && t.entry.rule.Without == nil {
			t.conclude(without)
		}
	}
	return nil
}

// conclude says what the kernel showed of a rule.
func (t *trial) conclude(without *Verdict) {
	same := t.with.same(*without) || drawnAlike(t.with, without)
	switch r := &t.entry.rule; {
	case !same:
		r.With, r.Without, r.Witness, r.Why = t.with, without, t.sent, ""
	case t.alike:
		r.Fate, r.With, r.Without, r.Why = Redundant, t.with, without, ""
	}
}

// drawnAlike says whether two verdicts differ in a port alone that NAT drew.
func drawnAlike(a, b *Verdict) bool {
	one, other := *a, *b
	one.Source, other.Source = portless(a.Source), portless(b.Source)
	return a.drew() && b.drew() && one.same(other)
}

// delete takes rules away in a twin.
func (c *cover) delete(side *cover, gone map[*entry]bool) error {
	var places []*inspect.Rule
	for r, e := range side.same {
		if gone[e] {
			places = append(places, r)
		}
	}
	if len(places) != len(gone) {
		return errOtherRules
	}
	return watch.DeleteRules(side.kernel.node, places...)
}
