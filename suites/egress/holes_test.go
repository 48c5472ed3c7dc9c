package egress_test

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// rules are a fence: what is not let out is dropped, at the link and at the host.
type rules struct {
	before map[string][]string // by chain: a fence's own
	open   *atomic.Bool        // the proxy connects to all
}

// The chains of the fence.
const (
	link    = "link"    // a frame comes from the sandbox
	beside  = "beside"  // it goes to another on the bridge
	forward = "forward" // a packet goes on to the outside
	input   = "input"   // it is for the host
)

func whole() rules {
	return rules{open: new(atomic.Bool), before: map[string][]string{
		link: {
			`iifname "box" ether saddr != ` + boxMAC + ` drop comment "own mac"`,
			`iifname "box" ether type ip ip saddr != ` + box4 + ` drop comment "own address"`,
			`iifname "box" ether type ip6 ip6 saddr != { ` + box6 + `, ` + boxLinkLocal + `, :: } drop comment "own address6"`,
		},
		beside: {
			`iifname "box" oifname "sib" ether type ip drop comment "no sibling"`,
			`iifname "box" oifname "sib" ether type ip6 drop comment "no sibling6"`,
			`iifname "box" oifname "sib" ether type arp drop comment "no arp"`,
		},
		forward: {
			`ip saddr ` + box4 + ` drop comment "egress"`,
			`ip6 saddr ` + box6 + ` drop comment "egress6"`,
		},
		input: {
			`ip saddr ` + box4 + ` tcp dport 80 drop comment "host"`,
			`ip6 saddr ` + box6 + ` tcp dport 80 drop comment "host6"`,
			`ip saddr ` + box4 + ` udp dport 53 drop comment "host dns"`,
		},
	}}
}

// text is the ruleset, with holes before the rules of their chains.
func (r rules) text(holes ...hole) string {
	lines := map[string][]string{}
	for chain, own := range r.before {
		for _, h := range holes {
			if h.chain == chain {
				lines[chain] = append(lines[chain], h.rule)
			}
		}
		lines[chain] = append(lines[chain], own...)
	}
	chain := func(name, hook string) string {
		return fmt.Sprintf("chain %s { type filter hook %s;\n%s\n}", name, hook, strings.Join(lines[name], "\n"))
	}
	return "flush ruleset\ntable bridge fence {\n" + chain(link, "prerouting priority -300") + "\n" + chain(beside, "forward priority 0") +
		"\n}\ntable inet fence {\n" + chain(forward, "forward priority 0") + "\n" + chain(input, "input priority 0") + "\n}\n"
}

// hole is one way out that somebody left open, and the channel that it opens.
type hole struct {
	chain, rule string
	opens       string
}

func at(chain, match, opens string) hole {
	return hole{chain: chain, rule: match + " accept", opens: opens}
}

// holes are one of each kind.
var holes = []hole{
	at(forward, `ip saddr `+box4+` ip protocol icmp`, "icmp"),
	at(forward, `ip6 saddr `+box6+` icmpv6 type echo-request`, "icmp6"),
	at(forward, `ip saddr `+box4+` tcp dport 8080 ct state new`, "tcp"),
	at(forward, `ip6 saddr `+box6+` tcp dport 8080`, "tcp6"),
	at(forward, `ip saddr `+box4+` udp dport 9999`, "udp"),
	at(forward, `ip6 saddr `+box6+` udp dport 9999`, "udp6"),
	at(forward, `ip saddr `+box4+` udp dport 443`, "quic"),
	at(forward, `ip6 saddr `+box6+` udp dport 443`, "quic6"),
	at(forward, `ip saddr `+box4+` ip daddr `+out4+` udp dport 53`, "foreign dns"),
	at(forward, `ip6 saddr `+box6+` udp dport 53`, "foreign dns6"),
	at(forward, `ip saddr `+box4+` ip daddr `+out4+` tcp dport 53`, "foreign dns by tcp"),
	at(forward, `ip daddr `+resolver+` udp dport 53`, "own dns"),
	at(forward, `ip daddr `+resolver+` tcp dport 53`, "own dns by tcp"),
	at(forward, `ip daddr `+metadata, "metadata"),
	at(forward, `ip daddr `+private, "private"),
	at(forward, `ip protocol gre`, "gre"),
	at(forward, `ip protocol sctp`, "sctp"),
	at(forward, `ip protocol 253`, "any protocol"),
	at(forward, `ip6 nexthdr 253`, "any protocol6"),
	at(link, `ip saddr 192.0.2.66`, "spoofed source"),
	at(link, `ip6 saddr 2001:db8:66::66`, "spoofed source6"),
	at(link, `ip saddr `+second, "second address"),
	at(link, `iifname "box" ether saddr != `+boxMAC, "spoofed mac"),
	at(input, `ip saddr `+box4+` tcp dport 80`, "gateway"),
	at(input, `ip6 saddr `+box6+` tcp dport 80`, "gateway6"),
	at(input, `ip saddr `+box4+` udp dport 53`, "gateway by udp"),
	at(beside, `ether type ip`, "sibling"),
	at(beside, `ether type ip6`, "sibling by link-local address"),
	at(beside, `ether type arp`, "sibling by arp"),
}
