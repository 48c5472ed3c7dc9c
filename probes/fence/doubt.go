package fence

import (
	"fmt"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/watch"
)

// doubt is why what a cause has ended is no proof that nothing gets out, "" where it is.
func (c *check) doubt(trail *watch.Trail, cause evidence.Cause) (why string, err error) {
	switch {
	case cause.Rule != nil && !c.watch.Account(trail).Closed(account.Request): // another copy of it may be on its way
		return "not every packet of it was seen to end", nil
	case cause.Policy:
		return c.another(trail)
	}
	return "", nil
}

// another is why another packet of what was ended might get out, "" where none does: a rule that it
// met decides by what any program may choose, or not always alike. One packet was sent, and a
// program of the sandbox sends as many as it likes.
func (c *check) another(trail *watch.Trail) (why string, err error) {
	requests, _ := c.watch.Passages(trail)
	for _, passage := range requests {
		chains, err := c.chainsOf(passage.Node)
		if err != nil {
			return "", err
		}
		packet := passage.Known()
		if memories := chains.Deciding(packet, passage.Steps); len(memories) > 0 {
			return fmt.Sprintf("but whether it would another time is not known: %s", memories[0]), nil
		}
		if choices := chains.Choosing(packet, passage.Steps); len(choices) > 0 {
			return fmt.Sprintf("but %s at %s decides by %s, which a program of the sandbox may choose", choices[0].Rule, passage.Node, choices[0].Traits), nil
		}
	}
	return "", nil
}

// chainsOf are a node's rules.
func (c *check) chainsOf(node *harness.Node) (*rules.Chains, error) {
	if c.chains[node] != nil {
		return c.chains[node], nil
	}
	set, err := watch.ReadRules(node)
	if err != nil {
		return nil, fmt.Errorf("read the rules of node %s: %w", node, err)
	}
	c.chains[node] = rules.Prepare(set)
	return c.chains[node], nil
}
