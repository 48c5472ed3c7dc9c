package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/watch"
)

// CompareRules says what a change of a node's rules does: each text takes the place of all rules that the node has,
// in a twin of its own, as Node.Nft loads it; or, if its first word behind comments is "*filter" or the like, as Node.Iptables. The lab
// itself is left alone.
//
// Packets are sent through both: those by which Cover shows that each rule is met, and those that the rules about
// which the texts differ may treat otherwise. A Change is told only after both kernels were asked. Equal texts, rules that commute, and
// other names of chains and sets make none. Where both nodes are the same in all that decides about packets (harness.Node.Differs), whatever
// their rules are, there is no difference, and nothing that was not compared; no packet is sent. Else an empty Difference is no proof where
// Notes says that something was not compared, and rests on the model of the rules where it says nothing: see the package.
func CompareRules(ctx context.Context, lab *harness.Lab, node, before, after string) (Difference, error) {
	var d Difference
	var makers [2]maker
	for i, text := range []string{before, after} {
		makers[i] = func(f func(*harness.Node) error) error {
			return withTwin(ctx, lab, node, func(n *harness.Node) error {
				if err := replaceRules(n, text); err != nil {
					return fmt.Errorf("rules %s: %w", whens[i], err)
				}
				return f(n)
			})
		}
	}
	if err := d.compare(ctx, makers); err != nil {
		return d, fmt.Errorf("compare rules: node %s: %w", node, err)
	}
	return d, nil
}

// replaceRules takes all rules of a twin's node away, and loads others.
func replaceRules(node *harness.Node, text string) error {
	if err := node.Nft("flush ruleset"); err != nil {
		return err
	}
	if isSaved(text) {
		return node.Iptables(text)
	}
	return node.Nft(text)
}

// isSaved says whether a text is iptables-save's, which begins with comments.
func isSaved(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line[0] == '*'
		}
	}
	return false
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
		some, err := areRuled(a, nodeOf(after, a.Name()))
		if err == nil && some {
			var makers [2]maker
			for i, lab := range []*harness.Lab{before, after} {
				makers[i] = func(f func(*harness.Node) error) error { return withTwin(ctx, lab, a.Name(), f) }
			}
			err = d.compare(ctx, makers)
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

// areRuled says whether one of two nodes has rules.
func areRuled(nodes ...*harness.Node) (bool, error) {
	for _, n := range nodes {
		set, err := watch.ReadRules(n)
		if err != nil || len(set.Tables) > 0 {
			return true, err
		}
		legacy, err := (inspect.Namespace{Do: n.Do}).LegacyPrograms()
		if err != nil || len(legacy) > 0 {
			return true, err
		}
	}
	return false, nil
}

// maker calls a function with the node of a twin that no packet has met yet.
type maker func(f func(*harness.Node) error) error

// both calls a function with such a node of each side.
func both(makers [2]maker, f func([2]*harness.Node) error) error {
	return makers[0](func(a *harness.Node) error {
		return makers[1](func(b *harness.Node) error { return f([2]*harness.Node{a, b}) })
	})
}

// comparison is of two nodes of two twins.
type comparison struct {
	*Difference
	ctx     context.Context
	makers  [2]maker
	sides   [2]*cover
	found   []candidate
	known   map[string]int // how many candidates there are of a pair of rules
	changed *changed
	remarks map[remarkKey][2]*remark
	// remarked are their keys, in the order in which they were made.
	remarked []remarkKey
}

// candidate are packets in a row, of which the last may be treated otherwise.
type candidate struct {
	packets []Packet
	// key is the same for those of a pair of rules. Proposed says that the model takes it for a change, where it was not merely met.
	key      string
	proposed bool
}

// whens are the sides in words.
var whens = [2]string{"before", "after"}

// compare finds the differences of two nodes of twins.
func (d *Difference) compare(ctx context.Context, makers [2]maker) error {
	c := &comparison{Difference: d, ctx: ctx, makers: makers, known: map[string]int{}, remarks: map[remarkKey][2]*remark{}}
	return both(makers, c.compare)
}

// compare finds the differences of two nodes that no packet has met yet.
func (c *comparison) compare(nodes [2]*harness.Node) error {
	if how, err := nodes[0].Differs(nodes[1]); err != nil || how == "" { // what is the same does the same, whatever it is
		return errors.Join(err, c.ctx.Err())
	}
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
		if err := side.run(c.ctx); err != nil {
			return err
		}
	}
	c.witnesses()
	c.changed = compareSets(c.sides[0].set, c.sides[1].set)
	for i, side := range c.sides {
		side.keys = c.changed.keys[i]
	}
	c.differ()
	if err := c.ask(); err != nil {
		return err
	}
	c.remarkAll()
	c.noteRemarks()
	for _, side := range c.sides {
		c.Packets += side.sent
	}
	return c.ctx.Err()
}

// witnesses are what each rule of either was met by.
func (c *comparison) witnesses() {
	for _, side := range c.sides {
		for _, e := range side.entries {
			if len(e.rule.Witness) > 0 {
				c.found = append(c.found, candidate{packets: e.rule.Witness, key: fmt.Sprintf("witness %d", len(c.found))})
			}
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
