package rules

import (
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// changes says whether a rule changes what later rules, or routing, see of a packet: its
// addresses, its mark, its header, whether it is tracked, or the socket that it is for.
func changes(rule *inspect.Rule) bool {
	for _, e := range rule.Exprs {
		switch e := e.(type) {
		case *expr.NAT, *expr.Masq, *expr.Redir, *expr.TProxy, *expr.Notrack:
			return true
		case *expr.Meta:
			if e.SourceRegister && e.Key == expr.MetaKeyMARK {
				return true
			}
		case *expr.Ct:
			if e.SourceRegister && slices.Contains([]expr.CtKey{expr.CtKeyMARK, expr.CtKeyLABELS, expr.CtKeyZONE}, e.Key) {
				return true
			}
		case *expr.Payload:
			if e.OperationType == expr.PayloadWrite {
				return true
			}
		case *expr.Target:
			if targetChanges(e.Name) {
				return true
			}
		}
	}
	return false
}

// targetChanges is changes for a target of iptables; one that is not known may.
func targetChanges(name string) bool {
	switch name {
	case "", "ACCEPT", "DROP", "REJECT", "LOG", "NFLOG", "ULOG", "TRACE", "AUDIT", "CLASSIFY", "CHECKSUM", "TCPMSS", "TCPOPTSTRIP",
		"SECMARK", "CONNSECMARK", "SET", "TEE", "RATEEST", "LED", "IDLETIMER", "QUEUE", "NFQUEUE":
		return false
	}
	return true
}

// copies says whether a rule sends a packet, or a copy of it, another way.
func copies(rule *inspect.Rule) bool {
	return slices.ContainsFunc(rule.Exprs, func(e any) bool {
		switch e := e.(type) {
		case *expr.Dup:
			return true
		case *expr.Target:
			return e.Name == "TEE"
		case *inspect.Opaque:
			return e.Name == "fwd"
		}
		return false
	})
}
