package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/watch"
)

// CompareRules says what a change of a node's rules does: each text takes the place of all rules that the node has,
// in a twin of its own, as Node.Nft loads it; or, if its first word is "*filter" or the like, as Node.Iptables. The lab
// itself is left alone.
//
// Packets are sent through both: those by which Cover shows that each rule is met, and those that the rules about
// which the texts differ may treat otherwise. A Change is told only after both kernels were asked. Equal texts, rules that commute, and
// other names of chains and sets make none. An empty Difference is no proof where Notes says that
// something was not compared, and rests on the model of the rules where it says nothing: see the package.
func CompareRules(ctx context.Context, lab *harness.Lab, node, before, after string) (Difference, error) {
	var d Difference
	err := withTwin(ctx, lab, node, func(a *harness.Node) error {
		if err := replaceRules(a, before); err != nil {
			return fmt.Errorf("rules before: %w", err)
		}
		return withTwin(ctx, lab, node, func(b *harness.Node) error {
			if err := replaceRules(b, after); err != nil {
				return fmt.Errorf("rules after: %w", err)
			}
			return d.compare(ctx, a, b)
		})
	})
	if err != nil {
		return d, fmt.Errorf("compare rules: node %s: %w", node, err)
	}
	return d, nil
}

// replaceRules takes all rules of a twin's node away, and loads others.
func replaceRules(node *harness.Node, text string) error {
	if err := node.Nft("flush ruleset"); err != nil {
		return err
	}
	if strings.HasPrefix(strings.TrimSpace(text), "*") {
		return node.Iptables(text)
	}
	return node.Nft(text)
}

// Compare says what of two labs the rules do otherwise: node by node, those that both have, as CompareRules does. What
// only one of them has is noted. Interfaces are the same if they are called alike.
func Compare(ctx context.Context, before, after *harness.Lab) (Difference, error) {
	var d Difference
	switch {
	case ctx == nil:
		return d, fmt.Errorf("compare: %w", errNoContext)
	case before == nil || after == nil:
		return d, fmt.Errorf("compare: %w", errNoLab)
	}
	for _, lab := range []*harness.Lab{before, after} {
		if len(lab.Nodes()) == 0 {
			return d, fmt.Errorf("compare: lab %s has no nodes, and so no rules", lab.Name())
		}
	}
	for _, a := range before.Nodes() {
		if nodeOf(after, a.Name()) == nil {
			d.Notes = append(d.Notes, fmt.Sprintf("node %s, which is not there after", a.Name()))
			continue
		}
		some, err := ruled(a, nodeOf(after, a.Name()))
		if err == nil && some {
			err = withTwin(ctx, before, a.Name(), func(a *harness.Node) error {
				return withTwin(ctx, after, a.Name(), func(b *harness.Node) error { return d.compare(ctx, a, b) })
			})
		}
		if err != nil {
			return d, fmt.Errorf("compare: node %s: %w", a.Name(), err)
		}
	}
	for _, b := range after.Nodes() {
		if nodeOf(before, b.Name()) == nil {
			d.Notes = append(d.Notes, fmt.Sprintf("node %s, which was not there before", b.Name()))
		}
	}
	return d, nil
}

// ruled says whether one of two nodes has rules.
func ruled(nodes ...*harness.Node) (bool, error) {
	for _, n := range nodes {
		set, err := watch.ReadRules(n)
		if err != nil || len(set.Tables) > 0 {
			return true, err
		}
	}
	return false, nil
}

// comparison is of two nodes of two twins.
type comparison struct {
	*Difference
	ctx     context.Context
	sides   [2]*cover
	found   [][]Packet     // in rows, of which the last packet may be treated otherwise
	known   map[string]int // how many candidates there are of a pair of rules
	changed *changed
}

// whens are the sides in words.
var whens = [2]string{"before", "after"}

// compare finds the differences of two nodes of twins.
func (d *Difference) compare(ctx context.Context, before, after *harness.Node) error {
	c := &comparison{Difference: d, ctx: ctx, known: map[string]int{}}
	nodes := [2]*harness.Node{before, after}
	tracked := false
	for i, n := range nodes {
		side, err := readCover(n)
		if err != nil {
			return err
		}
		defer side.kernel.close()
		c.sides[i], tracked = side, tracked || rules.EffectsOf(side.set).Tracks
	}
	for i, side := range c.sides { // of a packet whose state one of them asks for, the other is asked in that state
		side.model(nodes[i], tracked)
		if err := side.run(ctx); err != nil {
			return err
		}
	}
	c.witnesses()
	c.changed = compareSets(c.sides[0].set, c.sides[1].set)
	for i, side := range c.sides {
		side.keys = c.changed.keys[i]
	}
	c.differ()
	c.ask()
	c.notes()
	c.noteChanged()
	for _, side := range c.sides {
		d.Packets += side.sent
	}
	return ctx.Err()
}

// witnesses are what each rule of either was met by.
func (c *comparison) witnesses() {
	for _, side := range c.sides {
		for _, e := range side.entries {
			if len(e.rule.Witness) > 0 {
				c.found = append(c.found, e.rule.Witness)
			}
		}
	}
}

// notes say what could not be compared.
func (c *comparison) notes() {
	for i, side := range c.sides {
		for _, e := range side.entries {
			if e.rule.Fate != NotModelled && (e.rule.Fate != Needs || !e.lacks()) {
				continue
			}
			c.note(fmt.Sprintf("%s, %s: %s", e.rule.where(), whens[i], e.rule.Why))
		}
	}
}

// lacks says whether there may be packets which match an entry's rule of which the model does not know.
func (e *entry) lacks() bool {
	return slices.ContainsFunc(slices.Concat(e.over, e.searches), func(s *search) bool {
		l := s.goal.line
		return l != nil && len(l.needs) > 0 && slices.ContainsFunc(l.arms, func(a arm) bool { return len(a.boxes) > 0 })
	})
}

// ask asks both kernels about each candidate. What differs is asked once more.
func (c *comparison) ask() {
	first, _ := c.verdicts(c.found)
	var again [][]Packet
	var before [][2]*Verdict
	for i, pair := range first {
		if pair[0] != nil && pair[1] != nil && (!pair[0].same(*pair[1]) || pair[0].rule != pair[1].rule) {
			again, before = append(again, c.found[i]), append(before, pair)
		}
	}
	pairs, sent := c.verdicts(again)
	for i, pair := range pairs {
		if pair[0] == nil || pair[1] == nil {
			continue
		}
		if drawn(before[i][0], pair[0]) && drawn(before[i][1], pair[1]) {
			for _, v := range pair {
				v.Source = portless(v.Source)
			}
		}
		if !pair[0].same(*pair[1]) && c.doubted(pair) {
			continue
		}
		c.add(Change{
			Node: c.sides[0].kernel.node.Name(), Witness: sent[i], Before: *pair[0], After: *pair[1], plain: c.sides[0].plainness(sent[i][0]),
		})
	}
}

// doubted notes by which rules that are in both texts two verdicts may differ, and says whether there are any.
func (c *comparison) doubted(pair [2]*Verdict) (is bool) {
	for side, v := range pair {
		for _, m := range c.doubts(side, v) {
			if !c.comesBy(1-side, pair[1-side], m.Rule.(*inspect.Rule)) {
				continue
			}
			is = true
			c.note(fmt.Sprintf("what %s decides, %s: it depends on %s", m.Rule, whens[side], m.Text))
		}
	}
	return is
}

// verdicts are what both kernels do with each, nil where one could not be asked; and the packets as the first was sent them.
func (c *comparison) verdicts(all [][]Packet) (made [][2]*Verdict, sent [][]Packet) {
	made, sent = make([][2]*Verdict, len(all)), make([][]Packet, len(all))
	for i := range all {
		all[i] = c.sides[0].renew(all[i])
	}
	for side, of := range c.sides {
		verdicts, rows := of.verdicts(all)
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
