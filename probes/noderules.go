package probes

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/watch"
	"golang.org/x/sys/unix"
)

// nodeRules are a node's nftables rules as they were when they were last read: who asks
// again has them read only if the kernel says that they have changed.
type nodeRules struct {
	mu   sync.Mutex
	conn *inspect.RulesetConn
	set  *inspect.Ruleset
	// translated are rules.Translated of set, read when they were first wanted.
	translated rules.Destinations
	of         *inspect.Ruleset
}

type nodeRulesKey struct{}

// rulesetOf are the rules of a node, those of iptables-legacy with them. They are not to be
// changed.
func rulesetOf(node *harness.Node) (*inspect.Ruleset, error) {
	programs, err := watch.LegacyPrograms(node)
	if err != nil {
		return nil, err
	}
	return rulesetWith(node, programs)
}

// rulesetWith is rulesetOf where it is known of what programs the node has tables.
func rulesetWith(node *harness.Node, programs []string) (*inspect.Ruleset, error) {
	kept := node.Keep(nodeRulesKey{}, func() any { return &nodeRules{} }).(*nodeRules)
	set, err := kept.read(node)
	if err != nil {
		return nil, fmt.Errorf("read the rules of node %s: %w", node, err)
	}
	if len(programs) == 0 {
		return set, nil
	}
	both := *set
	for _, program := range programs {
		out, err := node.Command(program + "-save").Output()
		if err != nil {
			return nil, fmt.Errorf("node %s: %s-save: %w", node, program, err)
		}
		tables, err := inspect.ParseLegacy(program, string(out))
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", node, err)
		}
		both.Legacy = append(slices.Clone(both.Legacy), tables...)
	}
	return &both, nil
}

// read reads the nftables rules, unless they are as they were.
func (k *nodeRules) read(node *harness.Node) (*inspect.Ruleset, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.conn == nil {
		err := node.Do(func() (err error) {
			k.conn, err = inspect.DialRuleset()
			return err
		})
		if errors.Is(err, unix.EPROTONOSUPPORT) { // a kernel without nftables
			return &inspect.Ruleset{}, nil
		}
		if err != nil {
			return nil, err
		}
		conn := k.conn
		node.OnGone(func() { _ = conn.Close() })
	}
	if k.set != nil && !k.set.Expires() {
		if now, err := inspect.Generation(k.conn); err == nil && now == k.set.Generation {
			return k.set, nil
		}
	}
	set, err := inspect.ReadRuleset(k.conn)
	k.set = set
	return set, err
}

// translatedBy are the addresses that a node's rules name where they send packets for them to
// somebody else's; legacy says whether it has tables of iptables-legacy.
func translatedBy(node *harness.Node, legacy bool) (rules.Destinations, error) {
	if legacy {
		set, err := rulesetOf(node)
		if err != nil {
			return rules.Destinations{}, err
		}
		return rules.Translated(set), nil
	}
	kept := node.Keep(nodeRulesKey{}, func() any { return &nodeRules{} }).(*nodeRules)
	set, err := kept.read(node)
	if err != nil {
		return rules.Destinations{}, fmt.Errorf("read the rules of node %s: %w", node, err)
	}
	kept.mu.Lock()
	defer kept.mu.Unlock()
	if kept.of != set {
		kept.translated, kept.of = rules.Translated(set), set
	}
	return kept.translated, nil
}
