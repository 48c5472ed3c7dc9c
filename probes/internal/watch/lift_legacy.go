package watch

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
)

// isLegacy says whether a rule is of iptables-legacy or ip6tables-legacy, which its family
// is called then.
func isLegacy(r *evidence.Rule) bool { return strings.HasSuffix(r.Family, "-legacy") }

// liftLegacy deletes a rule by its number in the chain, or lets the chain's policy accept.
func liftLegacy(node *harness.Node, r *evidence.Rule) error {
	args := []string{"-w", "-t", r.Table, "-D", r.Chain, strconv.FormatUint(r.Handle, 10)}
	if r.IsPolicy() {
		args = []string{"-w", "-t", r.Table, "-P", r.Chain, "ACCEPT"}
	}
	path := found(r.Family)
	if path == "" {
		return fmt.Errorf("%s is not on this machine", r.Family)
	}
	out, err := node.Command(path, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", r.Family, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
