package inspect

import (
	"hash/fnv"
	"io"

	"golang.org/x/sys/unix"
)

// digest is that of a rule as the kernel lists it, without what counts packets: `nft replace
// rule` leaves a rule its number.
func digest(rule ruleAttrs) uint64 {
	sum := fnv.New64a()
	for _, e := range rule.first(unix.NFTA_RULE_EXPRESSIONS).all() {
		switch name := e.first(unix.NFTA_EXPR_NAME).text(); name {
		case "counter", "last":
			_, _ = io.WriteString(sum, name)
		default:
			_, _ = sum.Write(e)
		}
	}
	_, _ = sum.Write(rule.first(unix.NFTA_RULE_USERDATA)) // its comment
	return sum.Sum64()
}
