package topo_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// given is a segment's prefixes, a port a node, and the nodes' addresses, a line each.
type given struct {
	name, prefixes string
	ports          func(s *topo.Segment) []topo.Attachment
	want           string
}

func checkGiven(t *testing.T, rows []given) {
	t.Helper()
	for _, row := range rows {
		network := topo.New("addresses")
		segment := network.Switch("lan", strings.Fields(row.prefixes)...)
		for i, at := range row.ports(segment) {
			network.Host(fmt.Sprintf("h%d", i), at)
		}
		plan := mustPlan(t, network)
		var lines []string
		for i := range plan.Nodes {
			lines = append(lines, addresses(&plan.Nodes[i]))
		}
		if got := strings.Join(lines, "\n"); got != row.want {
			t.Errorf("%s:\n%s\nwant:\n%s", row.name, got, row.want)
		}
	}
}

func TestAddressesInOrderOfDeclaration(t *testing.T) {
	t.Parallel()
	checkGiven(t, []given{
		{"IPv4", "10.0.1.0/24", ports(3), "[10.0.1.1/24]\n[10.0.1.2/24]\n[10.0.1.3/24]"},
		{"IPv6", "fd00::/64", ports(2), "[fd00::1/64]\n[fd00::2/64]"},
		{"dual stack, in order of the prefixes", "fd00::/64 10.0.1.0/24", ports(2),
			"[fd00::1/64 10.0.1.1/24]\n[fd00::2/64 10.0.1.2/24]"},
		{"several of one family", "10.0.1.0/24 10.0.2.0/24 fd00::/64 fd01::/64", ports(1),
			"[10.0.1.1/24 10.0.2.1/24 fd00::1/64 fd01::1/64]"},
		{"no prefix", "", ports(2), "[]\n[]"},
		{"a /30 has two", "10.0.1.4/30", ports(2), "[10.0.1.5/30]\n[10.0.1.6/30]"},
		{"a /31 has both (RFC 3021)", "10.0.1.4/31", ports(2), "[10.0.1.4/31]\n[10.0.1.5/31]"},
		{"a /32 has one", "10.0.1.4/32", ports(1), "[10.0.1.4/32]"},
		{"a /127 has both (RFC 6164)", "fd00::2/127", ports(2), "[fd00::2/127]\n[fd00::3/127]"},
		{"a /126 has three", "fd00::4/126", ports(3), "[fd00::5/126]\n[fd00::6/126]\n[fd00::7/126]"},
		{"the top of the address space", "255.255.255.252/30", ports(2), "[255.255.255.253/30]\n[255.255.255.254/30]"},
	})
}

func TestChosenAddresses(t *testing.T) {
	t.Parallel()
	checkGiven(t, []given{
		{"chosen ones are left out of the count, wherever they are declared", "10.0.1.0/24 fd00::/64",
			func(s *topo.Segment) []topo.Attachment {
				return []topo.Attachment{s, s, s.At("10.0.1.1", "fd00::2"), s}
			},
			"[10.0.1.2/24 fd00::1/64]\n[10.0.1.3/24 fd00::3/64]\n[10.0.1.1/24 fd00::2/64]\n[10.0.1.4/24 fd00::4/64]"},
		{"a prefix without a chosen one gives one", "10.0.1.0/24 fd00::/64",
			func(s *topo.Segment) []topo.Attachment { return []topo.Attachment{s.At("fd00::9")} },
			"[10.0.1.1/24 fd00::9/64]"},
		{"several chosen, in order of the prefixes and then of choice", "10.0.1.0/24 fd00::/64",
			func(s *topo.Segment) []topo.Attachment {
				return []topo.Attachment{s.At("fd00::9", "10.0.1.8").At("10.0.1.7")}
			},
			"[10.0.1.8/24 10.0.1.7/24 fd00::9/64]"},
		{"further ones come last", "10.0.1.0/24",
			func(s *topo.Segment) []topo.Attachment {
				return []topo.Attachment{s.Also("192.0.2.5/32").At("10.0.1.9"), s.Also("10.0.1.1/32", "fd09::1/128", "fe80::1/64")}
			},
			"[10.0.1.9/24 192.0.2.5/32]\n[10.0.1.2/24 10.0.1.1/32 fd09::1/128 fe80::1/64]"},
		{"none by itself", "10.0.1.0/24",
			func(s *topo.Segment) []topo.Attachment {
				return []topo.Attachment{s.NoAddress(), s.NoAddress().Also("192.0.2.5/32").At("10.0.1.9"), s}
			},
			"[]\n[10.0.1.9/24 192.0.2.5/32]\n[10.0.1.1/24]"},
	})
}

// ports are n ports about which nothing is chosen.
func ports(n int) func(s *topo.Segment) []topo.Attachment {
	return func(s *topo.Segment) []topo.Attachment {
		var all []topo.Attachment
		for range n {
			all = append(all, s)
		}
		return all
	}
}

func TestAddressesGoOnPastAByte(t *testing.T) {
	t.Parallel()
	network := topo.New("wide")
	lan := network.Switch("lan", "10.0.0.0/23", "fd00::/64")
	for i := range 300 {
		network.Host(fmt.Sprintf("h%d", i), lan)
	}
	plan := mustPlan(t, network)
	for i, want := range map[int]string{
		253: "[10.0.0.254/23 fd00::fe/64]", 254: "[10.0.0.255/23 fd00::ff/64]",
		255: "[10.0.1.0/23 fd00::100/64]", 299: "[10.0.1.44/23 fd00::12c/64]",
	} {
		if got := addresses(&plan.Nodes[i]); got != want {
			t.Errorf("node %d: %s, not %s", i, got, want)
		}
	}
}

func TestTheSamePrefixOnManySegments(t *testing.T) {
	t.Parallel()
	network := topo.New("tenants")
	for _, tenant := range []string{"a", "b", "c"} {
		wire := network.Wire(tenant+"/lan", "10.0.0.0/24", "fd00::/64")
		network.Host(tenant+"/client", wire)
		network.Host(tenant+"/server", wire)
	}
	plan := mustPlan(t, network)
	for i := range plan.Nodes {
		want := []string{"[10.0.0.1/24 fd00::1/64]", "[10.0.0.2/24 fd00::2/64]"}[i%2]
		if got := addresses(&plan.Nodes[i]); got != want {
			t.Errorf("node %s: %s, not %s", plan.Nodes[i].Name, got, want)
		}
	}
	if len(plan.Notes) > 0 {
		t.Errorf("nobody reaches two of them, yet: %q", plan.Notes)
	}
}

func TestTwoPortsOfANodeOnOneSwitch(t *testing.T) {
	t.Parallel()
	network := topo.New("bond")
	lan := network.Switch("lan", "10.0.1.0/24")
	network.Host("a", lan, lan.At("10.0.1.9"), lan)
	node := mustPlan(t, network).Nodes[0]
	if got, want := addresses(&node), "[10.0.1.1/24] [10.0.1.9/24] [10.0.1.2/24]"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

func TestTheSameAddressTwiceOnASegment(t *testing.T) {
	t.Parallel()
	for name, declare := range map[string]func(n *topo.Network, lan *topo.Segment){
		"when the first means it": func(n *topo.Network, lan *topo.Segment) {
			n.Host("a", lan.At("10.0.1.9").Duplicate())
			n.Host("b", lan.At("10.0.1.9"))
		},
		"when the second means it": func(n *topo.Network, lan *topo.Segment) {
			n.Host("a", lan.At("10.0.1.9"))
			n.Host("b", lan.At("10.0.1.9").Duplicate())
		},
		"three times, when one means it": func(n *topo.Network, lan *topo.Segment) {
			n.Host("a", lan.At("10.0.1.9"))
			n.Host("b", lan.Also("10.0.1.9/32").Duplicate())
			n.Host("c", lan.At("10.0.1.9"))
		},
		"on two ports of a node": func(n *topo.Network, lan *topo.Segment) {
			n.Host("a", lan.At("10.0.1.9"), lan.At("10.0.1.9").Duplicate())
		},
		"and on the loopback": func(n *topo.Network, lan *topo.Segment) {
			n.Host("a", lan.At("10.0.1.9")).Loopback("10.0.1.9/32")
		},
	} {
		network := topo.New("twins")
		lan := network.Switch("lan", "10.0.1.0/24")
		declare(network, lan)
		network.Host("z", lan)
		plan := mustPlan(t, network)
		for i := range plan.Nodes[:len(plan.Nodes)-1] {
			if !strings.Contains(addresses(&plan.Nodes[i]), "10.0.1.9/") {
				t.Errorf("%s: node %s has %s", name, plan.Nodes[i].Name, addresses(&plan.Nodes[i]))
			}
		}
	}
}
