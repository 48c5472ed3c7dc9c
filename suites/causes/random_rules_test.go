package causes_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/topo"
)

// hooks are those of a family.
var hooks = map[string][]string{
	"inet":   {"prerouting", "input", "forward", "forward", "output", "postrouting"},
	"ip":     {"prerouting", "input", "forward", "forward", "output", "postrouting"},
	"ip6":    {"prerouting", "input", "forward", "forward", "output", "postrouting"},
	"bridge": {"prerouting", "input", "forward", "forward", "output", "postrouting"},
	"netdev": {"ingress"},
}

const reset = "reject with tcp reset"

// rejects are ways to say no, by family.
var rejects = map[string][]string{
	"inet": {"reject", reset, "reject with icmpx admin-prohibited", "reject with icmpx host-unreachable"},
	"ip":   {"reject", reset, "reject with icmp admin-prohibited", "reject with icmp net-unreachable"},
	"ip6":  {"reject", reset, "reject with icmpv6 admin-prohibited", "reject with icmpv6 no-route"},
}

// rules gives a node a table or two of random rules; ports are its interfaces.
func (w *world) rules(node *topo.Node, ports []string, families ...string) {
	families = slices.DeleteFunc(families, func(f string) bool { return f == "ip" && !w.v4 || f == "ip6" && !w.v6 })
	text := "" // of all: nft takes longer to start than to load it
	for i := range 1 + w.r.IntN(2) {
		text += w.ruleTable(fmt.Sprintf("t%d", i), pick(w.r, families...), ports)
	}
	node.Nft(text)
}

func (w *world) ruleTable(name, family string, ports []string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "table %s %s {\n", family, name)
	fmt.Fprintf(&text, "\tchain sub {\n%s\t}\n", w.ruleLines(family, "sub", ports, ""))
	used := map[string]bool{}
	for i := range 1 + w.r.IntN(2) {
		hook := pick(w.r, hooks[family]...)
		if used[hook] {
			continue
		}
		used[hook] = true
		policy := pick(w.r, "accept", "accept", "accept", "drop")
		at := hook
		if family == "netdev" {
			at = fmt.Sprintf("ingress device %q", pick(w.r, ports...))
		}
		fmt.Fprintf(&text, "\tchain c%d {\n\t\ttype filter hook %s priority %d; policy %s;\n", i, at, pick(w.r, -300, -150, 0, 0, 10), policy)
		if policy == "drop" && !w.chance(5) {
			text.WriteString(w.neighbours(family))
		}
		text.WriteString(w.ruleLines(family, hook, ports, "sub"))
		text.WriteString("\t}\n")
	}
	return text.String() + "}\n"
}

// neighbours lets the questions for neighbours through: without them nothing else
// comes to a rule.
func (w *world) neighbours(family string) string {
	text := ""
	if family == "netdev" || family == "bridge" {
		text = "\t\tether type arp accept\n"
	}
	if family != "ip" {
		text += "\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
	}
	return text
}

func (w *world) ruleLines(family, hook string, ports []string, sub string) string {
	var text strings.Builder
	for range 1 + w.r.IntN(3) {
		match, verdict := w.match(family, hook, ports), w.verdict(family, hook, sub)
		if verdict == reset && !strings.HasPrefix(match, "tcp ") {
			verdict = "reject" // nft takes a reset for TCP alone
		}
		fmt.Fprintf(&text, "\t\t%s %s\n", match, verdict)
	}
	return text.String()
}

// match is a random condition.
func (w *world) match(family, hook string, ports []string) string {
	all := []string{"tcp dport 80", "udp dport 53", "tcp dport { 80, 81 }", "udp sport 53", "tcp sport 80", "meta l4proto tcp", "meta l4proto { icmp, icmpv6 }",
		"tcp flags & (syn | ack) == (syn | ack)", "tcp flags & (syn | ack) == syn", "meta mark 1", "udp length > 20"}
	if family != "netdev" && family != "bridge" && hook != "sub" {
		all = append(all, "ct state new", "ct state established", "ct state established,related", "ct state invalid")
	}
	if family != "ip6" && w.v4 {
		all = append(all, "icmp type echo-request", "icmp type echo-reply", w.address("ip"), w.address("ip"))
	}
	if family != "ip" && w.v6 {
		all = append(all, "icmpv6 type echo-request", "icmpv6 type echo-reply", w.address("ip6"), w.address("ip6"))
	}
	switch hook {
	case "prerouting", "input", "forward":
		all = append(all, fmt.Sprintf("iifname %q meta l4proto { icmp, icmpv6, udp }", pick(w.r, ports...)))
	case "output", "postrouting":
		all = append(all, fmt.Sprintf("oifname %q meta l4proto { icmp, tcp }", pick(w.r, ports...)))
	}
	return pick(w.r, all...)
}

// address is a condition on one of the addresses, or none that there is. It leaves
// what is about neighbours alone.
func (w *world) address(family string) string {
	addr := fmt.Sprintf("10.0.%d.%d", w.r.IntN(max(1, len(w.segments))), 1+w.r.IntN(3))
	if family == "ip6" {
		addr = fmt.Sprintf("fd00:%d::%d", w.r.IntN(max(1, len(w.segments))), 1+w.r.IntN(3))
	}
	return fmt.Sprintf("%s %s %s meta l4proto %s", family, pick(w.r, "saddr", "daddr"), addr, pick(w.r, "{ tcp, udp }", "{ udp, icmp }", "tcp"))
}

// verdict is what is done to what a rule matches.
func (w *world) verdict(family, hook, sub string) string {
	all := []string{"drop", "drop", "drop", "accept", "accept", "meta mark set 1", "counter", fmt.Sprintf("drop comment \"no %d\"", w.r.IntN(100))}
	if sub != "" {
		all = append(all, "jump "+sub, "goto "+sub)
	}
	// Not every kernel rejects at a bridge.
	if slices.Contains([]string{"input", "forward", "output"}, hook) && len(rejects[family]) > 0 {
		all = append(all, pick(w.r, rejects[family]...), pick(w.r, rejects[family]...), pick(w.r, rejects[family]...))
	}
	return pick(w.r, all...)
}

// translate has a router change where packets go, or where they come from.
func (w *world) translate(node *topo.Node) {
	w.translates = true
	family, to := "ip", fmt.Sprintf("10.0.%d.%d", w.r.IntN(len(w.segments)), 1+w.r.IntN(2))
	if !w.v4 {
		family, to = "ip6", fmt.Sprintf("fd00:%d::%d", w.r.IntN(len(w.segments)), 1+w.r.IntN(2))
	}
	node.Nft(fmt.Sprintf("table %s nat {\n\tchain in {\n\t\ttype nat hook prerouting priority -100;\n\t\t%s\n\t}\n\tchain out {\n\t\ttype nat hook postrouting priority 100;\n\t\t%s\n\t}\n}\n",
		family,
		pick(w.r, "tcp dport 81 redirect to :80", "tcp dport 80 dnat to "+to, "udp dport 53 dnat to "+to, "meta l4proto { tcp, udp } dnat to "+to, ""),
		pick(w.r, "masquerade", "tcp dport 80 masquerade", "")))
}
