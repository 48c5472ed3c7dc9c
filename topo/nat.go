package topo

import (
	"fmt"
	"net/netip"
	"strings"
)

// NAT is a translation of addresses: Masquerade, SNAT, DNAT, OneToOne or Redirect. The
// plan shows the nftables rules that it comes to, in a table of its own, inet nat.
type NAT struct {
	name string
	dev  Interface
	// what is translated, and to what: by the function that made it.
	what, to string
	port     int
	rules    func(p *planner, where string, n NAT, dev *DevicePlan) natRules
}

// natRules are a translation's rules by the hook at which they are.
type natRules struct{ prerouting, postrouting []string }

// Masquerade gives what leaves by an interface the interface's own address.
func Masquerade(out Interface) NAT {
	return NAT{name: "masquerade", dev: out, rules: func(_ *planner, _ string, _ NAT, dev *DevicePlan) natRules {
		return natRules{postrouting: []string{fmt.Sprintf("oifname %q masquerade", dev.Name)}}
	}}
}

// SNAT gives what leaves by an interface an address as its source.
func SNAT(out Interface, to string) NAT {
	return NAT{name: "snat", dev: out, to: to, rules: func(p *planner, where string, n NAT, dev *DevicePlan) natRules {
		addr, ok := p.natAddr(where, n.to)
		if !ok {
			return natRules{}
		}
		family := ipWord(addr)
		protocol := map[string]string{"ip": "ipv4", "ip6": "ipv6"}[family]
		return natRules{postrouting: []string{fmt.Sprintf("oifname %q meta nfproto %s snat %s to %s", dev.Name, protocol, family, addr)}}
	}}
}

// DNAT hands what comes in at an interface for the node's own address there on to another:
// topo.DNAT(wan, "tcp/8080", "10.0.1.5:80"), or with "[fd00:1::5]:80" over IPv6. Without
// the second port it stays what it was.
func DNAT(in Interface, what, to string) NAT {
	return NAT{name: "dnat", dev: in, what: what, to: to, rules: natForward}
}

// OneToOne stands a public address in for an inside one, both ways: what comes in at the
// interface for it goes to the other, and what that one sends out there has it. That the
// public address leads to the node is for the declaration: on a port with Also, or by a
// route of others.
func OneToOne(outside Interface, public, inside string) NAT {
	return NAT{name: "one to one", dev: outside, what: public, to: inside, rules: func(p *planner, where string, n NAT, dev *DevicePlan) natRules {
		public, ok1 := p.natAddr(where, n.what)
		inside, ok2 := p.natAddr(where, n.to)
		switch {
		case !ok1 || !ok2:
			return natRules{}
		case public.Is4() != inside.Is4():
			p.wrong("%s: %s and %s are of two families: choose two of one", where, public, inside)
		}
		ip := ipWord(public)
		return natRules{
			prerouting:  []string{fmt.Sprintf("iifname %q %s daddr %s dnat %s to %s", dev.Name, ip, public, ip, inside)},
			postrouting: []string{fmt.Sprintf("oifname %q %s saddr %s snat %s to %s", dev.Name, ip, inside, ip, public)},
		}
	}}
}

// Redirect hands what comes in at an interface, to whomever it is, to a port of the node
// itself, as a transparent proxy has it: topo.Redirect(lan, "tcp/80", 3128).
func Redirect(in Interface, what string, port int) NAT {
	return NAT{name: "redirect", dev: in, what: what, port: port, rules: func(p *planner, where string, n NAT, dev *DevicePlan) natRules {
		match, ok := p.natMatch(where, n.what)
		if n.port < 1 || n.port > 65535 {
			p.wrong("%s: port %d: it is between 1 and 65535", where, n.port)
		}
		if !ok {
			return natRules{}
		}
		return natRules{prerouting: []string{fmt.Sprintf("iifname %q %s redirect to :%d", dev.Name, match, n.port)}}
	}}
}

// NAT adds translations, which are loaded in the order of declaration, with the texts of
// Nft, Iptables and Ip6tables.
func (n *Node) NAT(translations ...NAT) *Node {
	for _, nat := range translations {
		n.texts = append(n.texts, ruleText{Ruleset: Ruleset{Loader: "nft", Auto: true}, nat: nat})
	}
	return n
}

// natForward is DNAT's.
func natForward(p *planner, where string, n NAT, dev *DevicePlan) natRules {
	match, ok := p.natMatch(where, n.what)
	to, port := n.to, ""
	if target, err := netip.ParseAddrPort(n.to); err == nil && target.Port() > 0 {
		to, port = target.Addr().String(), fmt.Sprintf(":%d", target.Port())
	}
	addr, parsed := p.natAddr(where, to)
	if !ok || !parsed {
		return natRules{}
	}
	var rules natRules
	ip, target := ipWord(addr), addr.String()
	if addr.Is6() && port != "" {
		target = "[" + target + "]"
	}
	for _, own := range dev.Addrs {
		if own.Addr().Is4() == addr.Is4() {
			rules.prerouting = append(rules.prerouting, fmt.Sprintf("iifname %q %s daddr %s %s dnat %s to %s%s", dev.Name, ip, own.Addr(), match, ip, target, port))
		}
	}
	if len(rules.prerouting) == 0 {
		p.wrong("%s: %s has no address of that family that could be asked: give it one, or choose another interface", where, shown(dev.Name))
	}
	return rules
}

func ipWord(addr netip.Addr) string {
	if addr.Is6() {
		return "ip6"
	}
	return "ip"
}

func (p *planner) natAddr(where, text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" || addr.Is4In6() || addr.IsUnspecified() || addr.IsMulticast() {
		p.wrong("%s: %q: write an address like 10.0.1.5, and a port after it as 10.0.1.5:80 or [fd00:1::5]:80", where, text)
		return addr, false
	}
	return addr, true
}

// natMatch reads a protocol and a port, "tcp/80": as nft matches them.
func (p *planner) natMatch(where, text string) (string, bool) {
	protocol, ports, both := strings.Cut(text, "/")
	first, last, ok := numbers(ports, 16)
	if !both || protocol != "tcp" && protocol != "udp" || !ok || first == 0 {
		p.wrong("%s: %q: write what is translated like tcp/80 or udp/5000-5010", where, text)
		return "", false
	}
	return protocol + " dport " + rangeText([2]uint16{uint16(first), uint16(last)}), true
}

// planTexts plans the nodes' rule texts, in the order of declaration.
func (p *planner) planTexts() {
	for i, node := range p.network.nodes {
		for _, text := range node.texts {
			made := text.Ruleset
			if made.Auto {
				made.Text = p.natText(i, text.nat)
			}
			p.plan.Nodes[i].Rulesets = append(p.plan.Nodes[i].Rulesets, made)
		}
	}
}

// natText is what nft loads for a translation.
func (p *planner) natText(node int, nat NAT) string {
	where := "node " + p.nodeName(node) + ": " + nat.name
	if nat.rules == nil {
		p.wrong("node %s: NAT of no kind: use Masquerade, SNAT, DNAT, OneToOne or Redirect", p.nodeName(node))
		return ""
	}
	if nat.dev == nil {
		p.wrong("%s: %s", where, noInterface)
		return ""
	}
	name := p.device(where, node, nat.dev)
	dev, ok := p.plan.Nodes[node].Device(name)
	switch {
	case name == "" || !ok:
		return ""
	case strings.ContainsAny(name, `"\*`):
		p.wrong("%s: nft cannot name the interface %s: choose a name without quotes, backslashes and stars", where, name)
		return ""
	}
	rules := nat.rules(p, where, nat, dev)
	var text strings.Builder
	text.WriteString("table inet nat {\n")
	for _, chain := range []struct {
		name, priority string
		rules          []string
	}{{"prerouting", "dstnat", rules.prerouting}, {"postrouting", "srcnat", rules.postrouting}} {
		if len(chain.rules) > 0 {
			fmt.Fprintf(&text, "\tchain %s {\n\t\ttype nat hook %s priority %s; policy accept;\n\t\t%s\n\t}\n",
				chain.name, chain.name, chain.priority, strings.Join(chain.rules, "\n\t\t"))
		}
	}
	text.WriteString("}\n")
	return text.String()
}
