package policy

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// ask asks both kernels about all candidates, and those that differ once more. Of which the first answer is not the second one's, or depends on what
// came before, is asked alone.
func (c *comparison) ask() error {
	var differ, unsure []candidate
	var before [][2]*Verdict
	first, _ := c.verdicts(c.sides, c.found)
	for i, pair := range first {
		switch {
		case pair[0] == nil || pair[1] == nil:
		case !pair[0].same(*pair[1]) || pair[0].rule != pair[1].rule:
			differ, before = append(differ, c.found[i]), append(before, pair)
		case c.found[i].proposed && c.remembers(c.sides, pair):
			unsure = append(unsure, c.found[i])
		}
	}
	told := map[string]bool{}
	again, sent := c.verdicts(c.sides, differ)
	for i, pair := range again {
		if c.isUnsure(differ[i], pair, before[i]) {
			unsure = append(unsure, differ[i])
			continue
		}
		forgetDrawn(pair, before[i])
		told[differ[i].key] = told[differ[i].key] || !pair[0].same(*pair[1])
		c.tell(pair, sent[i])
	}
	unsure = c.plainest(slices.DeleteFunc(unsure, func(one candidate) bool { return told[one.key] }))
	slices.SortStableFunc(unsure, func(a, b candidate) int { return rankOf(a) - rankOf(b) })
	return c.askAlone(unsure)
}

// isUnsure says whether a second answer does not settle what is to be told, after a first one that differed.
func (c *comparison) isUnsure(one candidate, pair, before [2]*Verdict) bool {
	if pair[0] == nil || pair[1] == nil {
		return true
	}
	memories := c.memories(c.sides, pair)
	if !pair[0].same(*pair[1]) {
		return slices.ContainsFunc(memories, func(m memory) bool { return m.shared })
	}
	return pair[0].rule == pair[1].rule || !before[0].same(*before[1]) || one.proposed && len(memories) > 0
}

// rankOf orders candidates: what the model takes for a change comes first.
func rankOf(one candidate) int {
	if one.proposed {
		return 0
	}
	return 1
}

// tell adds what both kernels did with packets, if that is not the same.
func (c *comparison) tell(pair [2]*Verdict, sent []Packet) {
	c.add(Change{
		Node: c.sides[0].kernel.node.Name(), Witness: sent, Before: *pair[0], After: *pair[1], plain: c.sides[0].plainness(sent[0]),
	})
}

// forgetDrawn takes ports away that NAT drew on both sides.
func forgetDrawn(pair, before [2]*Verdict) {
	if drawn(before[0], pair[0]) && drawn(before[1], pair[1]) {
		for _, v := range pair {
			v.Source = portless(v.Source)
		}
	}
}

// memories are the rules that are in both texts by which two verdicts may have been others, had other packets come before.
func (c *comparison) memories(sides [2]*cover, pair [2]*Verdict) (texts []memory) {
	for side, v := range pair {
		if !c.sides[side].remembers {
			continue
		}
		for _, m := range c.doubts(sides[side], side, v) {
			texts = append(texts, memory{
				remark: remark{side, m.Rule.(*inspect.Rule), fmt.Sprintf("what %s decides", m.Rule), ": it depends on " + m.Text},
				told:   slices.Contains([]rules.Kind{rules.Period, rules.Rate, rules.History}, m.Kind),
				shared: c.comesBy(1-side, pair[1-side], m.Rule.(*inspect.Rule)),
			})
		}
	}
	return texts
}

// remembers says whether two verdicts may have been others, had other packets come before: also by rules that have changed.
func (c *comparison) remembers(sides [2]*cover, pair [2]*Verdict) bool {
	for side, v := range pair {
		if c.sides[side].remembers && (len(sides[side].deciding(v)) > 0 || len(sides[side].metMemories(v)) > 0) {
			return true
		}
	}
	return false
}

// memory is what a verdict depends on besides the packet.
type memory struct {
	remark
	told   bool // what came before says it, and no chance
	shared bool // the other side's packet may have come by the rule as well
}

// verdicts are what both kernels do with each, nil where one could not be asked; and the packets as the first was sent them.
func (c *comparison) verdicts(sides [2]*cover, all []candidate) (made [][2]*Verdict, sent [][]Packet) {
	made, sent = make([][2]*Verdict, len(all)), make([][]Packet, len(all))
	var packets [][]Packet
	for _, one := range all {
		packets = append(packets, c.sides[0].renew(one.packets))
	}
	for side, of := range sides {
		verdicts, rows := of.verdicts(packets)
		for i, v := range verdicts {
			made[i][side] = v
			for _, t := range rows[i] {
				if side == 0 {
					sent[i] = append(sent[i], t.packet)
				}
			}
		}
	}
	return made, sent
}
