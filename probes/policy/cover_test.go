package policy_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/gomega"
)

func TestCover(t *testing.T) {
	t.Parallel()
	report := coveredOffice(t, `
table inet filter {
	chain guests { udp dport 53 counter reject; }
	chain staff { accept; }
	chain nobody { accept; }
	chain back { return; }
	chain forward {
		type filter hook forward priority 0; policy drop;
		counter
		ct state established,related accept
		ct state invalid drop
		tcp dport 22 drop comment "no ssh"
		ip saddr 10.0.1.0/25 tcp dport 22 accept
		tcp dport 25 drop
		jump back
		meta l4proto udp jump guests
		iifname "wlan" jump staff
		tcp dport vmap { 80 : accept, 81 : drop }
		ip daddr 127.0.0.1 accept
		ip daddr 192.0.2.1 accept
		tcp dport 90 tcp dport 91 accept
		oifname "dmz" accept
	}
	chain input {
		type filter hook input priority 0; policy drop;
		iif lo accept
		ct state established accept
		icmp type echo-request accept
		meta l4proto ipv6-icmp accept
	}
	chain output {
		type filter hook output priority 0; policy accept;
	}
}
table bridge b { chain forward { type filter hook forward priority 0; }; }
`)
	wantFates(t, report,
		"guests 1 decided",
		"staff 1 needs: packets that are led to the chain staff: no rule that jumps there matches any",
		"nobody 1 unreferenced: no hook leads to the chain nobody",
		"back 1 matched",
		"forward 1 matched",
		"forward 2 decided",
		"forward 3 decided",
		"forward 4 decided",
		"forward 5 shadowed: rule 4 of inet filter forward (tcp dport 22 drop comment \"no ssh\")",
		"forward 6 decided",
		"forward 7 matched",
		"forward 8 matched",
		"forward 9 needs: an interface that the node has not got",
		"forward 10 decided",
		"forward 11 unreachable: the kernel hands no packet with such addresses or interfaces to the hook forward",
		"forward 12 needs: routes, addresses or interfaces that this lab has not: it sends no such packet through forward",
		"forward 13 unreachable: no packet has all that it asks for",
		"forward 14 decided",
		"forward 0 decided",
		"input 1 decided",
		"input 2 decided",
		"input 3 decided",
		"input 4 decided",
		"input 0 decided",
		"output 0 decided",
		"forward 0 not modelled: rules of family bridge are not tried",
	)
}

// What connection tracking asks for is made: an answer, a second packet, an error.
func TestCoverOfConnections(t *testing.T) {
	t.Parallel()
	report := coveredOffice(t, `
table ip filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state related icmp type destination-unreachable accept
		iifname "dmz" ct state established accept
		iifname "lan" ct state established accept
		ct state invalid tcp flags rst drop
		iifname "lan" udp dport 53 accept
	}
	chain output {
		type filter hook output priority 0; policy accept;
		ct state established accept
	}
}`)
	wantFates(t, report,
		"forward 1 decided", "forward 2 decided", "forward 3 decided", "forward 4 redundant", "forward 5 decided", "forward 0 decided",
		"output 1 redundant", "output 0 decided")
	for i, packets := range map[int]int{0: 2, 1: 2, 2: 2} {
		if got := report.Rules[i].Witness; len(got) != packets {
			t.Errorf("%s: %d packets and not %d", report.Rules[i], len(got), packets)
		}
	}
}

// What the node itself asks by ICMP goes out: its answers belong to a connection.
func TestCoverOfAnswersToTheNode(t *testing.T) {
	t.Parallel()
	report := coveredOffice(t, `
table inet filter {
	chain input {
		type filter hook input priority 0; policy drop;
		ct state established icmp type echo-reply accept
	}
	chain output { type filter hook output priority 0; }
}`)
	wantFates(t, report, "input 1 decided", "input 0 decided", "output 0 decided")
}

// Another table at the same hook takes packets first, or another rule whose state nobody knows.
func TestCoverOfTables(t *testing.T) {
	t.Parallel()
	report := coveredOffice(t, `
table inet early {
	chain forward {
		type filter hook forward priority -10; policy accept;
		iifname "lan" accept
		tcp dport 80 drop
	}
}
table inet late {
	set seen { type ipv4_addr; flags dynamic; }
	chain forward {
		type filter hook forward priority 10; policy accept;
		iifname "dmz" tcp dport 80 accept
		tcp dport 80 accept
		ip saddr @seen drop
		meta mark 7 accept
		tcp dport 0-65535 drop
		meta l4proto tcp accept
	}
}`)
	wantFates(t, report,
		"forward 1 decided", "forward 2 decided", "forward 0 decided",
		"forward 1 shadowed: rule 2 of inet early forward (tcp dport 80 drop)",
		"forward 2 decided",
		"forward 3 needs: an element of set seen, which has none",
		"forward 4 needs: a mark, which no rule sets",
		"forward 5 decided",
		"forward 6 redundant", // by what ends before its ports
		"forward 0 decided",
	)
}

// What another hook, or the same one before and after NAT and connection tracking, does with a packet is no shadow.
func TestCoverOfStages(t *testing.T) {
	t.Parallel()
	report := coveredOffice(t, `
table ip raw {
	chain early {
		type filter hook prerouting priority -300; policy accept;
		ct state new drop
		ip daddr 10.0.2.1 tcp dport 81 drop
	}
}
table ip nat {
	chain nat {
		type nat hook prerouting priority -100; policy accept;
		ip daddr 10.0.2.9 tcp dport 81 dnat to 10.0.2.1
	}
}
table ip filter {
	chain late {
		type filter hook prerouting priority 0; policy accept;
		ct state new ip daddr != 10.0.2.1 accept
		ip daddr 10.0.2.1 tcp dport 81 accept
	}
}
table ip6 filter {
	chain forward {
		type filter hook forward priority 0; policy accept;
		ip6 nexthdr tcp tcp dport 80 accept
		ip6 nexthdr 0 drop
		ip6 nexthdr != { tcp, udp } drop
		tcp dport 80 accept
	}
	chain out {
		type filter hook postrouting priority 0; policy accept;
		iifname != "lan" counter
		iifname "lan" counter
	}
}`)
	wantFates(t, report,
		"early 1 not modelled: it has a state before connection tracking",
		"early 2 decided", "early 0 decided",
		"nat 1 decided", "nat 0 decided",
		"late 1 redundant",
		"late 2 redundant", "late 0 decided",
		"forward 1 decided",
		"forward 2 not modelled: it has IPv6's next header, which may be an extension, an expression that is not modelled",
		"forward 3 not modelled: it has IPv6's next header, which may be an extension, a set that is not modelled",
		"forward 4 not modelled: each packet that was tried was let through without it", "forward 0 decided",
		"out 1 matched", "out 2 matched", "out 0 decided",
	)
}

// Addresses that are said never to be forwarded from one link to another never are, and what is beside them is.
func TestCoverOfAddresses(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	never := map[string][]string{
		"ip saddr":  {"0.0.0.0", "127.0.0.1", "127.255.255.255", "224.0.0.1", "239.255.255.255", "255.255.255.255"},
		"ip daddr":  {"0.0.0.0", "127.0.0.1", "224.0.0.1", "239.255.255.255", "255.255.255.255"},
		"ip6 saddr": {"::", "::1", "ff02::1", "ff0e::1", "fe80::9", "febf::1"},
		"ip6 daddr": {"::1", "ff02::1", "ff0e::1"},
	}
	ever := map[string][]string{
		"ip saddr": {"0.0.0.1", "126.255.255.255", "128.0.0.1", "223.255.255.255", "240.0.0.1"}, "ip daddr": {"0.1.2.3", "128.0.0.1", "240.0.0.1"},
		"ip6 saddr": {"::2", "fec0::1", "fe7f::1"}, "ip6 daddr": {"::2", "fec0::1"},
	}
	var rules []string
	for _, all := range []map[string][]string{never, ever} {
		for _, side := range slices.Sorted(maps.Keys(all)) {
			for _, addr := range all[side] {
				rules = append(rules, "\t\tiifname lan oifname dmz "+side+" "+addr+" counter accept\n")
			}
		}
	}
	network := topo.New("around")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := network.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	network.Host("client", lan)
	network.Host("server", dmz)
	fw := network.Router("fw", lan, dmz).Nft("table inet filter {\n\tchain forward {\n\t\ttype filter hook forward priority 0;\n" + strings.Join(rules, "") + "\t}\n}")
	fw.Route(topo.Route{Via: "10.0.2.1"}, topo.Route{Via: "fd00:2::1"})
	lab := harness.Up(t, network)

	var sent uint64
	for _, all := range []map[string][]string{never, ever} {
		for side, addrs := range all {
			for _, text := range addrs {
				v6 := strings.HasPrefix(side, "ip6")
				from, to := spaceAddr(v6, 1, "1"), spaceAddr(v6, 2, "1")
				if strings.HasSuffix(side, "saddr") {
					from = netip.MustParseAddr(text)
				} else {
					to = netip.MustParseAddr(text)
				}
				sendAll(t, lab.Node("client"), "lan", lab.Node("fw"), v6, [][]byte{header(from, to, 47, make([]byte, 8))})
			}
		}
	}
	for _, addrs := range ever {
		sent += uint64(len(addrs))
	}
	var counts map[string]uint64
	NewWithT(t).Eventually(func() (sum uint64) {
		counts = counted(t, lab.Node("fw"))
		for _, n := range counts {
			sum += n
		}
		return sum
	}).Within(soon).Should(BeNumerically(">=", sent), "packets that were forwarded")
	for _, r := range covered(t, lab).Rules {
		count := counts[fmt.Sprintf("%s %d", r.Chain, r.Position)]
		switch {
		case r.Position == 0:
		case count > 0 && r.Fate != policy.Decided && r.Fate != policy.Redundant:
			t.Errorf("%s, and %d packets were counted", r, count)
		case count == 0 && r.Fate != policy.Unreachable:
			t.Errorf("%s, and no packet was counted", r)
		}
	}
}

// The lab is as it was.
func TestCoverLeavesTheLabAlone(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, sides(`table inet filter {
	chain forward {
		type filter hook forward priority 0;
		counter
		ct state established counter accept
		tcp dport 22 counter drop
	}
}`))
	covered(t, lab)
	for place, packets := range counted(t, lab.Node("fw")) {
		if packets > 0 {
			t.Errorf("%s counted %d packets", place, packets)
		}
	}
}

func TestCoverSaysWhatItCannot(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	if _, err := policy.Cover(t.Context(), lab, "wf"); err == nil || err.Error() != "cover: node wf: lab office has no such node" {
		t.Errorf("the error is %v", err)
	}
	if report := covered(t, lab); report.String() != "fw: 0 rules and policies: none\n" {
		t.Errorf("without rules it says %q", report)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := policy.Cover(ctx, lab, "fw"); !errors.Is(err, context.Canceled) {
		t.Errorf("the error of a context that is over is %v", err)
	}
}
