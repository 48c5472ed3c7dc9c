package policy

import (
	"slices"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/nstest/nstest/harness/inspect"
)

// survey notes what of a packet the rules themselves change, or have the kernel do.
func (m *model) survey() {
	for _, table := range m.set.Tables {
		for _, c := range table.Chains {
			for _, rule := range c.Rules {
				for _, x := range rule.Exprs {
					m.look(x)
				}
			}
		}
	}
}

func (m *model) look(x any) {
	switch x := x.(type) {
	case *expr.Meta:
		m.marks = m.marks || x.SourceRegister && x.Key == expr.MetaKeyMARK
	case *expr.Payload:
		m.writes = m.writes || x.OperationType == expr.PayloadWrite
	case *expr.Ct, *expr.Masq, *expr.Connlimit:
		m.tracks = true
	case *expr.NAT:
		m.tracks = true
		m.translates = m.translates || x.Type == expr.NATTypeDestNAT
	case *expr.Redir:
		m.tracks, m.translates = true, true
	case *expr.Match:
		m.tracks = m.tracks || slices.Contains([]string{"conntrack", "state", "connmark", "connlimit", "connbytes", "connlabel", "helper", "cluster"}, x.Name)
	case *expr.Target:
		m.lookTarget(x.Name)
	case *inspect.Opaque:
		if !slices.Contains(idle, x.Name) {
			m.marks, m.writes, m.tracks, m.translates = true, true, true, true
		}
	}
}

func (m *model) lookTarget(name string) {
	switch name {
	case "", "ACCEPT", "DROP", "REJECT", "RETURN", "LOG", "NFLOG", "ULOG", "TRACE", "AUDIT", "CLASSIFY", "CHECKSUM", "TEE", "RATEEST", "LED", "IDLETIMER":
	case "SNAT", "MASQUERADE", "CT", "NOTRACK", "SYNPROXY":
		m.tracks = true
	case "DNAT", "REDIRECT", "NETMAP":
		m.tracks, m.translates = true, true
	case "MARK", "CONNMARK", "HMARK", "TPROXY":
		m.marks = true
	default:
		m.marks, m.writes, m.tracks, m.translates = true, true, true, true
	}
}

// commentOf is the comment that iptables-nft keeps as a match.
func commentOf(rule *inspect.Rule) string {
	for _, x := range rule.Exprs {
		if match, ok := x.(*expr.Match); ok {
			if comment, ok := match.Info.(*xt.Comment); ok {
				text, _, _ := strings.Cut(string(*comment), "\x00")
				return text
			}
		}
	}
	return rule.Comment
}
