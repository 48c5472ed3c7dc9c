package policy

import (
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// malformed notes the packets that end before the header which an extension of iptables reads: it takes them for
// malformed, and drops them (hotdrop of struct xt_action_param).
func (c *compiler) malformed(header int) {
	cut := box{fieldHead: c.domain[fieldHead].without(upperOf(header))}
	c.evil = append(c.evil, andAll(c.boxes, []box{cut})...)
}

// takesForMalformed says whether it is but for that that a rule drops a packet.
func takesForMalformed(r *inspect.Rule) bool {
	reads := false
	for _, x := range r.Exprs {
		switch x := x.(type) {
		case *expr.Match:
			extension, _ := rules.ReadMatch(x)
			reads = reads || slices.ContainsFunc(extension.Conditions, func(asked rules.Condition) bool { return asked.Header > 0 })
		case *expr.Verdict:
			if x.Kind == expr.VerdictDrop {
				return false
			}
		case *expr.Target:
			if kind, known := rules.TargetVerdict(x.Name); !known || kind == expr.VerdictDrop {
				return false
			}
		case *expr.Counter, *expr.Meta, *expr.Cmp, *expr.Payload, *expr.Bitwise, *expr.Range, *expr.Ct, *expr.Log:
		default:
			return false
		}
	}
	return reads
}

// dropping is what who drops a packet is called.
func (e *entry) dropping(name string) string {
	if e.of != nil && takesForMalformed(e.of) {
		return name + ", which takes it for malformed"
	}
	return name
}
