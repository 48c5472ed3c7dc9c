package topo

// ruleText is a text of rules as it was declared; that of a NAT is made by the plan.
type ruleText struct {
	Ruleset
	nat NAT
}

// Backend is which part of the kernel the rules of an iptables text are for: each has programs
// of its own, and a node may have rules in both (iptables-nft(8)).
type Backend string

const (
	// Legacy is x_tables: iptables-legacy-restore reads the text.
	Legacy Backend = "-legacy"
	// NfTables is nf_tables: iptables-nft-restore reads the text.
	NfTables Backend = "-nft"
)

// Nft adds nftables text, as nft -f reads it. Texts of all kinds are loaded in the order
// of declaration.
func (n *Node) Nft(text string) *Node { return n.loads("nft", text) }

// Iptables adds IPv4 rules, as iptables-restore reads them: the machine's own, or with a
// Backend that one's.
func (n *Node) Iptables(text string, backend ...Backend) *Node {
	return n.loads(LoaderOf("iptables", backend...), text)
}

// Ip6tables adds IPv6 rules, as ip6tables-restore reads them; a Backend as of Iptables.
func (n *Node) Ip6tables(text string, backend ...Backend) *Node {
	return n.loads(LoaderOf("ip6tables", backend...), text)
}

// Ipset adds sets, as ipset restore reads them, which rules of an iptables text that is
// declared later may ask (-m set).
func (n *Node) Ipset(text string) *Node { return n.loads("ipset", text) }

func (n *Node) loads(loader, text string) *Node {
	n.texts = append(n.texts, ruleText{Ruleset: Ruleset{Loader: loader, Text: text}})
	return n
}

// LoaderOf is the Loader of a Ruleset: iptables or ip6tables, with the last of the backends, if any.
func LoaderOf(program string, backend ...Backend) string {
	if len(backend) == 0 {
		return program
	}
	return program + string(backend[len(backend)-1])
}
