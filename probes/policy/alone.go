package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
)

// mostAlone bounds how many candidates are asked alone: each takes twins of its own.
const mostAlone = 8

// plainest are the candidates that are most like what people send, one of each key.
func (c *comparison) plainest(all []candidate) (some []candidate) {
	at := map[string]int{}
	for _, one := range all {
		i, is := at[one.key]
		switch {
		case !is:
			at[one.key] = len(some)
			some = append(some, one)
		case c.sides[0].plainness(one.packets[0]) > c.sides[0].plainness(some[i].packets[0]):
			some[i] = one
		}
	}
	return some
}

// askAlone asks two nodes about each candidate that have met no packet before: what limits and counts have left, others have not taken.
func (c *comparison) askAlone(all []candidate) error {
	for i, one := range all {
		if i == mostAlone {
			c.note(fmt.Sprintf("%d more kinds of packets, which meet rules that depend on what came before: each takes nodes of its own", len(all)-i))
			break
		}
		first, _, memories, err := c.alone(one)
		if err != nil {
			return err
		}
		if err = c.conclude(one, first, memories); err != nil {
			return err
		}
	}
	return c.ctx.Err()
}

// conclude tells what nodes of its own have said about a candidate, once they have said so again.
func (c *comparison) conclude(one candidate, first [2]*Verdict, memories []memory) error {
	text := "whether " + packetsText(one.packets) + " is treated differently: "
	switch {
	case first[0] == nil || first[1] == nil:
		c.note(text + "both could not be asked alone")
		return nil
	case first[0].same(*first[1]) && first[0].rule == first[1].rule:
		c.noteMemories(one, memories)
		return nil
	}
	again, sent, memories, err := c.alone(one)
	switch {
	case err != nil:
		return err
	case again[0] == nil || again[1] == nil || first[0].same(*first[1]) != again[0].same(*again[1]):
		c.note(text + "it was once, and not again")
		return nil
	}
	forgetDrawn(again, first)
	if again[0].same(*again[1]) {
		c.noteMemories(one, memories)
	} else if slices.ContainsFunc(memories, func(m memory) bool { return m.shared && !m.told }) {
		for _, m := range memories {
			c.remark(m.remark)
		}
		return nil
	}
	c.tell(again, sent)
	return nil
}

// noteMemories notes by what a candidate may be treated differently in another state, if the model takes it for a change, or chance decides.
func (c *comparison) noteMemories(one candidate, memories []memory) {
	for _, m := range memories {
		if one.proposed || !m.told {
			c.remark(m.remark)
		}
	}
}

// alone is what two nodes do that have met no packet before.
func (c *comparison) alone(one candidate) (pair [2]*Verdict, sent []Packet, memories []memory, err error) {
	err = both(c.makers, func(nodes [2]*harness.Node) error {
		var sides [2]*cover
		for i, n := range nodes {
			side, err := c.sides[i].alike(n)
			if err != nil {
				return err
			}
			defer side.kernel.close()
			side.keys, sides[i] = c.sides[i].keys, side
		}
		pairs, packets := c.verdicts(sides, []candidate{one})
		pair, sent = pairs[0], packets[0]
		if pair[0] != nil && pair[1] != nil {
			memories = c.memories(sides, pair)
		}
		for _, side := range sides {
			c.Packets += side.sent
		}
		return nil
	})
	return pair, sent, memories, err
}

var errOtherRules = errors.New("the twin has other rules")

// alike reads the node of another twin, whose rules are known as those that they are here.
func (c *cover) alike(twin *harness.Node) (*cover, error) {
	side, err := readCover(twin)
	if err != nil {
		return nil, err
	}
	if err := c.match(side); err != nil {
		side.kernel.close()
		return nil, err
	}
	return side, nil
}

// match lets the rules of another twin's node be known as those that they are here.
func (c *cover) match(side *cover) error {
	here := map[position]*entry{}
	for _, e := range c.entries {
		here[e.rule.position()] = e
	}
	side.same = map[*inspect.Rule]*entry{}
	for _, t := range side.set.Tables {
		for _, ch := range t.Chains {
			side.byPlace[placeOf(ch, nil)] = here[position{t.Family, t.Name, ch.Name, 0}]
			for _, r := range ch.Rules {
				e := here[position{t.Family, t.Name, ch.Name, r.Position}]
				if e == nil {
					return errOtherRules
				}
				side.byPlace[placeOf(ch, r)], side.same[r] = e, e
			}
		}
	}
	return nil
}
