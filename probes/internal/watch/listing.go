package watch

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
)

// listings are what programs have printed of a node's rules. To run one takes longer than
// all else that explaining a rule takes, and it prints the same until the rules change.
type listings struct {
	mu      sync.Mutex
	of      string            // the rules that were listed: see identity
	printed map[string]string // by program and arguments
}

type listingsKey struct{}

func listingsOf(node *harness.Node) *listings {
	return node.Keep(listingsKey{}, func() any { return &listings{printed: map[string]string{}} }).(*listings)
}

// listed is what a program prints of a node's rules, without what they have counted: run now, or
// before and of the same rules. "" where it fails, and for no program.
func listed(node *harness.Node, program string, args ...string) string {
	if program == "" {
		return ""
	}
	set, err := ReadRules(node)
	if err != nil {
		return ""
	}
	return listedOf(node, set, program, args...)
}

// listedOf is listed where the rules were read just now.
func listedOf(node *harness.Node, set *inspect.Ruleset, program string, args ...string) string {
	l, which := listingsOf(node), program+" "+strings.Join(args, " ")
	l.mu.Lock()
	defer l.mu.Unlock()
	if of := identity(set); of == "" || of != l.of {
		l.of = of
		clear(l.printed)
	}
	if text, known := l.printed[which]; known {
		return text
	}
	text := output(node, program, args...)
	// It may have printed what came in between.
	if now, err := ReadRules(node); err == nil && text != "" && l.of != "" && identity(now) == l.of {
		l.printed[which] = text
	}
	return text
}

// identity tells rules from others by the kernel's numbers, which a table, set or rule that is made
// again has anew, by what stands in the rules, and by the names of chains. "" where the kernel
// does not number tables.
func identity(set *inspect.Ruleset) string {
	var text strings.Builder
	for _, table := range set.Tables {
		if table.Handle == 0 {
			return ""
		}
		fmt.Fprintf(&text, "table %s %q %d\n", table.Family, table.Name, table.Handle)
		for _, name := range slices.Sorted(maps.Keys(table.Sets)) {
			fmt.Fprintf(&text, "set %q %d\n", name, table.Sets[name].Handle)
		}
		for _, chain := range table.Chains {
			fmt.Fprintf(&text, "%q", chain.Name)
			for _, rule := range chain.Rules {
				fmt.Fprintf(&text, " %d:%x", rule.Handle, rule.Digest)
			}
			text.WriteByte('\n')
		}
	}
	return text.String()
}

// output is what a program prints in a node's namespace; "" where it fails, and for no program.
func output(node *harness.Node, program string, args ...string) string {
	if program == "" {
		return ""
	}
	var out []byte
	err := node.Do(func() (err error) { // the program starts from this thread, and so in the namespace
		out, err = exec.Command(program, args...).Output()
		return err
	})
	if err != nil {
		return ""
	}
	return string(out)
}
