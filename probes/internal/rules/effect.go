package rules

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// alteration is what a rule changes of a packet for those that meet it later, rules or
// routing.
type alteration uint

const (
	altersMark alteration = 1 << iota
	altersHeader
	altersAddress  // and ports; the rule is the last of its chain then
	altersState    // whether it is tracked
	altersConnMark // connection marks and labels
	altersRest     // what else a Packet does not tell: zones, sockets, options
)

// forget is the packet without what was altered.
func (p Packet) forget(a alteration) Packet {
	if a&altersMark != 0 {
		p.Mark = nil
	}
	if a&(altersHeader|altersAddress) != 0 {
		p.Family = p.family()
		p.Src, p.Dst, p.SrcPort, p.DstPort = netip.Addr{}, netip.Addr{}, nil, nil
	}
	if a&altersHeader != 0 {
		p.Type, p.Code, p.Flags, p.TTL, p.TOS, p.Length, p.MostTTL = nil, nil, nil, nil, nil, nil, 0
	}
	if a&altersState != 0 {
		p.State = nil
	}
	return p
}

// alters is what a rule changes when it matches; 0 for nothing.
func alters(rule *inspect.Rule) (a alteration) {
	for _, e := range rule.Exprs {
		switch e := e.(type) {
		case *expr.NAT, *expr.Masq, *expr.Redir:
			a |= altersAddress
		case *expr.TProxy:
			a |= altersRest
		case *expr.Notrack:
			a |= altersState
		case *expr.Meta:
			if e.SourceRegister && e.Key == expr.MetaKeyMARK {
				a |= altersMark
			}
		case *expr.Ct:
			if !e.SourceRegister {
				break
			}
			switch e.Key {
			case expr.CtKeyMARK, expr.CtKeyLABELS:
				a |= altersConnMark
			case expr.CtKeyZONE:
				a |= altersRest
			}
		case *expr.Payload:
			if e.OperationType == expr.PayloadWrite {
				a |= altersHeader
			}
		case *expr.Target:
			a |= targetAlters(e.Name)
		}
	}
	return a
}

// targetAlters is alters for a target of iptables; one that is not known may change all.
func targetAlters(name string) alteration {
	switch name {
	case "", "ACCEPT", "DROP", "REJECT", "RETURN", "LOG", "NFLOG", "ULOG", "TRACE", "AUDIT", "CLASSIFY", "CHECKSUM", "TCPMSS", "TCPOPTSTRIP",
		"SECMARK", "CONNSECMARK", "SET", "TEE", "RATEEST", "LED", "IDLETIMER", "QUEUE", "NFQUEUE":
		return 0
	case "MARK", "HMARK":
		return altersMark
	case "CONNMARK":
		return altersMark | altersConnMark
	case "SNAT", "DNAT", "MASQUERADE", "REDIRECT", "NETMAP":
		return altersAddress
	case "CT", "NOTRACK":
		return altersState | altersRest
	case "DSCP", "TOS", "ECN", "TTL", "HL":
		return altersHeader
	}
	return altersMark | altersConnMark | altersHeader | altersState | altersRest
}

// writes says whether a rule writes to what rules can be asked exactly of: to more of a header than the traffic class.
func writes(rule *inspect.Rule) bool {
	return slices.ContainsFunc(rule.Exprs, func(e any) bool {
		switch e := e.(type) {
		case *expr.Payload:
			const class = 2 // bytes, with what stands before it and is written as it was
			return e.OperationType == expr.PayloadWrite && (e.Base != expr.PayloadBaseNetworkHeader || e.Offset+e.Len > class)
		case *expr.Target:
			return targetWrites(e.Name)
		}
		return false
	})
}

// targetWrites is writes for a target of iptables.
func targetWrites(name string) bool {
	return targetAlters(name)&altersHeader != 0 && name != "DSCP" && name != "TOS"
}

// Copying is the first rule that may send a packet, or a copy of it, another way than routes
// lead: dup, fwd, TEE, also of iptables-legacy, or a queue; nil where there is none.
func Copying(set *inspect.Ruleset) fmt.Stringer {
	for _, table := range set.Tables {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				if copies(rule) || slices.ContainsFunc(rule.Exprs, isQueue) {
					return rule
				}
			}
		}
	}
	for _, table := range set.Legacy {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				if slices.Contains([]string{"TEE", "QUEUE", "NFQUEUE"}, rule.Target) {
					return rule
				}
			}
		}
	}
	return nil
}

func isQueue(e any) bool {
	_, is := e.(*expr.Queue)
	return is
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
