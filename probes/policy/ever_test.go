package policy_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
	"github.com/vishvananda/netlink"
)

// A rule that a real packet met, as the kernel has counted, is not said to meet none.
func TestRuleThatIsMet(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	const forward = "chain forward {\ntype filter hook forward priority 0\n"
	for name, c := range map[string]struct{ family, rules, from, to string }{
		"NAT of the other family ends nothing": {
			"inet", "chain track {\ntype filter hook forward priority 0\nct state invalid drop\n}\n" +
				"chain nat {\ntype nat hook prerouting priority -100\ndnat ip to 10.0.2.1\nip6 daddr fd00:2::9 counter comment met\n}", "fd00:1::1", "fd00:2::9",
		},
		"a route by lo": {"inet", forward + "oifname lo counter comment met\n}", "10.0.1.1", "10.9.9.9"},
		"from an address of the link, back where it came from": {
			"inet", forward + "ip6 saddr fe80::/10 counter comment met\n}", "fe80::1", "fd00:1::9",
		},
		"from nobody, back where it came from": {"inet", forward + "ip6 saddr :: counter comment met\n}", "::", "fd00:1::9"},
		"a copy is untracked": { // nft has no dup in inet
			"ip", "chain pre {\ntype filter hook prerouting priority -150\nip daddr 10.0.2.77 dup to 10.0.2.1 device dmz\n}\n" +
				"chain post {\ntype filter hook postrouting priority 0\nct state untracked ip protocol 253 counter comment met\n}", "10.0.1.1", "10.0.2.77",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := harness.Up(t, office("table "+c.family+" t {\n"+c.rules+"\n}"))
			fw := lab.Node("fw")
			lo := &netlink.Route{LinkIndex: 1, Dst: &net.IPNet{IP: net.IP{10, 9, 9, 9}, Mask: net.CIDRMask(32, 32)}, Scope: netlink.SCOPE_LINK}
			if err := fw.Netlink().RouteAdd(lo); err != nil {
				t.Fatal(err)
			}
			from, to := netip.MustParseAddr(c.from), netip.MustParseAddr(c.to)
			const experiment = 253 // RFC 3692
			sendAll(t, lab.Node("client"), "lan", fw, to.Is6(), [][]byte{header(from, to, experiment, make([]byte, 8))})
			met := uint64(0)
			for _, packets := range counted(t, fw) {
				met += packets
			}
			if met == 0 {
				t.Fatal("no packet met the rule: nothing is judged")
			}
			if err := fw.Netlink().RouteDel(lo); err != nil { // of which the harness knows nothing
				t.Fatal(err)
			}
			report := covered(t, lab)
			for _, r := range report.Rules {
				if r.Comment == "met" && (r.Fate == policy.Unreachable || r.Fate == policy.Shadowed) {
					t.Errorf("a packet met the rule that is said to meet none:\n%s", report)
				}
			}
		})
	}
}
