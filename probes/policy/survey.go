package policy

import (
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
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
	case *expr.Ct, *expr.Connlimit:
		m.tracks = true
	case *expr.NAT, *expr.Masq, *expr.Redir:
		m.tracks, m.translates = true, true
	case *expr.Match:
		m.tracks = m.tracks || slices.Contains([]string{"conntrack", "state", "connmark", "connlimit", "connbytes", "connlabel", "helper", "cluster"}, x.Name)
	case *expr.Target:
		m.lookTarget(x.Name)
	case *inspect.Opaque:
		if !rules.Idle(x.Name) {
			m.marks, m.writes, m.tracks, m.translates = true, true, true, true
		}
	}
}

func (m *model) lookTarget(name string) {
	switch name {
	case "", "ACCEPT", "DROP", "REJECT", "RETURN", "LOG", "NFLOG", "ULOG", "TRACE", "AUDIT", "CLASSIFY", "CHECKSUM", "TEE", "RATEEST", "LED", "IDLETIMER":
	case "CT", "NOTRACK", "SYNPROXY":
		m.tracks = true
	case "SNAT", "MASQUERADE", "DNAT", "REDIRECT", "NETMAP":
		m.tracks, m.translates = true, true
	case "MARK", "CONNMARK", "HMARK", "TPROXY":
		m.marks = true
	default:
		m.marks, m.writes, m.tracks, m.translates = true, true, true, true
	}
}

// station notes from which base chains packets come to each chain.
func (m *model) station() {
	m.from = map[*inspect.Chain][]*inspect.Chain{}
	var note func(base, c *inspect.Chain)
	note = func(base, c *inspect.Chain) {
		if slices.Contains(m.from[c], base) {
			return
		}
		m.from[c] = append(m.from[c], base)
		for _, r := range c.Rules {
			for _, to := range targets(r) {
				note(base, to)
			}
		}
	}
	for _, base := range basesOf(m.set) {
		note(base, base)
	}
}

// meets says whether packets come to the chain of a rule from a base chain of those.
func (c *compiler) meets(which func(base *inspect.Chain) bool) bool {
	return slices.ContainsFunc(c.from[c.line.in.of], which)
}

// early says whether a base chain is before connection tracking, where no packet has a state that it would have.
func early(base *inspect.Chain) bool {
	const conntrack = -200 // NF_IP_PRI_CONNTRACK
	return base.Priority <= conntrack && (base.Hook == "prerouting" || base.Hook == "output")
}

// at says whether a base chain is at one of the hooks.
func at(hooks ...string) func(*inspect.Chain) bool {
	return func(base *inspect.Chain) bool { return slices.Contains(hooks, base.Hook) }
}
