package rules

import (
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// told are the alterations of which the rules themselves tell whether anything asks for
// them. Of all others somebody else may.
const told = altersMark | altersConnMark | altersState

// MarksNothing says that besides rules nothing at the node asks for marks: neither policy
// routing nor traffic control. Prepare does not know.
func (b *Chains) MarksNothing() { b.elsewhere &^= altersMark }

// turns says whether what a rule changes is of any consequence for a packet.
func (b *Chains) turns(l *line) bool { return l.alters&^(told&^(b.reads|b.elsewhere)) != 0 }

// Marks says whether any rule sets a mark.
func (b *Chains) Marks() bool {
	for _, c := range b.by {
		if slices.ContainsFunc(c.list, func(l line) bool { return l.alters&altersMark != 0 }) {
			return true
		}
	}
	return false
}

// reads is what a rule asks for that other rules may change.
func reads(rule *inspect.Rule) (a alteration) {
	for _, e := range rule.Exprs {
		switch e := e.(type) {
		case *expr.Meta:
			if e.Key == expr.MetaKeyMARK && !e.SourceRegister {
				a |= altersMark
			}
		case *expr.Ct:
			a |= ctReads(e)
		case *expr.Fib:
			if e.FlagMARK {
				a |= altersMark
			}
		case *expr.NAT, *expr.Masq, *expr.Redir, *expr.Connlimit, *expr.SynProxy: // of what is tracked alone
			a |= altersState
		case *expr.Match:
			a |= matchReads(e.Name)
		case *expr.Target:
			a |= targetReads(e.Name)
		case *inspect.Opaque:
			if e.Name != "fwd" && !Idle(e.Name) {
				a |= told
			}
		}
	}
	return a
}

func ctReads(e *expr.Ct) alteration {
	switch {
	case e.SourceRegister:
		return altersState
	case e.Key == expr.CtKeyMARK || e.Key == expr.CtKeyLABELS:
		return altersState | altersConnMark
	}
	return altersState
}

// matchReads is reads for a match of iptables; one that is not known may ask for all.
func matchReads(name string) alteration {
	switch name {
	case "mark", "mark_m":
		return altersMark
	case "connmark", "connlabel":
		return altersConnMark | altersState
	case "conntrack", "state", "helper", "cluster", "connbytes", "connlimit":
		return altersState
	case "bpf", "socket", "ipvs", "rpfilter": // which look up routes and sockets, by the mark too
		return told
	}
	if slices.Contains(stateless, name) || xtMemory(name, nil, true).Kind != Unread {
		return 0
	}
	return told
}

// targetReads is reads for a target of iptables.
func targetReads(name string) alteration {
	switch name {
	case "CONNMARK":
		return told
	case "SNAT", "DNAT", "MASQUERADE", "REDIRECT", "NETMAP", "SYNPROXY", "CT", "CONNSECMARK":
		return altersState
	case "MARK", "HMARK", "NOTRACK", "DSCP", "TOS", "ECN", "TTL", "HL":
		return 0
	}
	if targetAlters(name) != 0 || targetEnds(name) == mayEnd { // TPROXY, or one that is not known
		return told
	}
	return 0
}

// legacyReads is reads for a rule of iptables-legacy.
func legacyReads(table *inspect.LegacyTable, rule *inspect.LegacyRule) (a alteration) {
	for _, module := range rule.Modules {
		a |= matchReads(module)
	}
	if table.Chain(rule.Target) == nil {
		a |= targetReads(rule.Target)
	}
	return a
}
