package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/nstest/nstest/harness/inspect"
)

// keys tell rules apart by what they do, whatever their sets and chains are called and what is said of them.
type keys struct {
	rules  map[*inspect.Rule]string
	chains map[*inspect.Chain]string
	shared map[string]bool // the keys of chains that the other ruleset has as well
}

func keysOf(set *inspect.Ruleset) *keys {
	k := &keys{rules: map[*inspect.Rule]string{}, chains: map[*inspect.Chain]string{}}
	for _, t := range set.Tables {
		for _, c := range t.Chains {
			k.chain(c)
		}
	}
	return k
}

// chain is what a chain does: its rules, and the chains that those jump to.
func (k *keys) chain(c *inspect.Chain) string {
	if key, is := k.chains[c]; is {
		return key
	}
	k.chains[c] = "itself" // the kernel lets none lead to itself
	var parts []string
	for _, r := range c.Rules {
		parts = append(parts, k.rule(r, k.chain))
	}
	k.chains[c] = strings.Join(parts, "\n")
	return k.chains[c]
}

// shallow is a rule without what the chains do that it jumps to, unless the other ruleset has the same.
func (k *keys) shallow(r *inspect.Rule) string {
	if key, is := k.rules[r]; is {
		return key
	}
	k.rules[r] = k.rule(r, func(to *inspect.Chain) string {
		if key := k.chain(to); k.shared[key] {
			return key
		}
		return "the chain " + to.Name
	})
	return k.rules[r]
}

func (k *keys) rule(r *inspect.Rule, chain func(*inspect.Chain) string) string {
	table := r.Chain.Table
	target := func(v *expr.Verdict) string {
		if to := table.Chain(v.Chain); to != nil {
			return fmt.Sprintf("verdict %d {%s}", v.Kind, chain(to))
		}
		return fmt.Sprintf("verdict %d", v.Kind)
	}
	var parts []string
	for _, x := range r.Exprs {
		switch x := x.(type) {
		case *expr.Counter:
		case *expr.Verdict:
			parts = append(parts, target(x))
		case *expr.Lookup:
			parts = append(parts, fmt.Sprintf("lookup %d %v %v %s", x.SourceRegister, x.Invert, x.IsDestRegSet, setKey(table.Sets[x.SetName], target)))
		case *expr.Match:
			if _, is := x.Info.(*xt.Comment); !is {
				parts = append(parts, exprKey(x))
			}
		default:
			parts = append(parts, exprKey(x))
		}
	}
	return strings.Join(parts, "; ")
}

func exprKey(x any) string {
	data, err := json.Marshal(x)
	if err != nil {
		return fmt.Sprintf("%T %v", x, x)
	}
	return fmt.Sprintf("%T %s", x, data)
}

// setKey is what a set holds, in no order.
func setKey(set *inspect.Set, target func(*expr.Verdict) string) string {
	if set == nil {
		return "none"
	}
	var parts []string
	for _, e := range set.Elements {
		text := fmt.Sprintf("%x-%x=%x %s %v", e.Key, e.End, e.Data, e.Object, e.CatchAll)
		if e.Verdict != nil {
			text += target(e.Verdict)
		}
		parts = append(parts, text)
	}
	slices.Sort(parts)
	return fmt.Sprintf("%v %v {%s}", set.Dynamic, set.Timeout, strings.Join(parts, ", "))
}

// changed are the rules and policies of two rulesets that the other has not, or has in another order; of each
// the other is told nothing.
type changed struct {
	keys  [2]*keys
	lines [2]map[*inspect.Rule]bool
	// bases are base chains whose policy or place is not the other's.
	bases [2]map[*inspect.Chain]bool
	pairs map[[2]*inspect.Chain]bool
	// other is the same rule of the other ruleset.
	other map[*inspect.Rule]*inspect.Rule
}

func compareSets(before, after *inspect.Ruleset) *changed {
	c := &changed{keys: [2]*keys{keysOf(before), keysOf(after)}, pairs: map[[2]*inspect.Chain]bool{}, other: map[*inspect.Rule]*inspect.Rule{}}
	for i := range c.lines {
		c.lines[i], c.bases[i] = map[*inspect.Rule]bool{}, map[*inspect.Chain]bool{}
		c.keys[i].shared = map[string]bool{}
		for _, key := range c.keys[1-i].chains {
			c.keys[i].shared[key] = true
		}
	}
	left := basesOf(after)
	for _, a := range basesOf(before) {
		at := slices.IndexFunc(left, func(b *inspect.Chain) bool { return samePlace(a, b) })
		if at < 0 {
			c.whole(0, a)
			continue
		}
		b := left[at]
		left = slices.Delete(left, at, at+1)
		if a.Drops != b.Drops {
			c.bases[0][a], c.bases[1][b] = true, true
		}
		c.chains(a, b)
	}
	for _, b := range left {
		c.whole(1, b)
	}
	return c
}

func basesOf(set *inspect.Ruleset) (bases []*inspect.Chain) {
	for _, t := range set.Tables {
		for _, ch := range t.Chains {
			if ch.Hook != "" && !t.Dormant() {
				bases = append(bases, ch)
			}
		}
	}
	return bases
}

func samePlace(a, b *inspect.Chain) bool {
	return a.Table.Family == b.Table.Family && a.Hook == b.Hook && a.Priority == b.Priority && a.Type == b.Type && slices.Equal(a.Devices, b.Devices)
}

// whole is a base chain that the other has not.
func (c *changed) whole(side int, base *inspect.Chain) {
	c.bases[side][base] = true
	for _, r := range base.Rules {
		c.lines[side][r] = true
	}
}

// chains compares two chains, and those that the same rules of both jump to.
func (c *changed) chains(a, b *inspect.Chain) {
	if c.pairs[[2]*inspect.Chain{a, b}] {
		return
	}
	c.pairs[[2]*inspect.Chain{a, b}] = true
	same := longest(a.Rules, b.Rules, func(x, y *inspect.Rule) bool { return c.keys[0].shallow(x) == c.keys[1].shallow(y) })
	kept := [2]map[*inspect.Rule]bool{{}, {}}
	for _, pair := range same {
		kept[0][pair[0]], kept[1][pair[1]] = true, true
		c.other[pair[0]], c.other[pair[1]] = pair[1], pair[0]
		to, others := targets(pair[0]), targets(pair[1])
		for i := range min(len(to), len(others)) {
			c.chains(to[i], others[i])
		}
	}
	for side, chain := range []*inspect.Chain{a, b} {
		for _, r := range chain.Rules {
			if !kept[side][r] {
				c.lines[side][r] = true
			}
		}
	}
}

// targets are the chains that a rule jumps to, by what is asked for.
func targets(r *inspect.Rule) (to []*inspect.Chain) {
	table := r.Chain.Table
	add := func(v *expr.Verdict) {
		if v != nil && table.Chain(v.Chain) != nil {
			to = append(to, table.Chain(v.Chain))
		}
	}
	for _, x := range r.Exprs {
		switch x := x.(type) {
		case *expr.Verdict:
			add(x)
		case *expr.Lookup:
			if set := table.Sets[x.SetName]; set != nil && x.IsDestRegSet {
				elements := slices.Clone(set.Elements)
				slices.SortFunc(elements, func(a, b inspect.Element) int { return slices.Compare(a.Key, b.Key) })
				for _, e := range elements {
					add(e.Verdict)
				}
			}
		}
	}
	return to
}
