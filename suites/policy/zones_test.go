package policy_test

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/policy"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// zone is a kind of interface by which a firewall's clients come to it.
type zone struct {
	needs []harness.Feature
	// join declares the clients' network, the desk on it, and says by which ports the firewall is there. Its interface is "lan".
	join func(n *topo.Network) []topo.Attachment
	// device declares what else the firewall has; nil for nothing.
	device func(fw *topo.Node, dmz *topo.Segment)
	// in are the interfaces by which packets come in, where those are others than the ports "lan" and "dmz".
	in string
	// told is what the firewall does, where that is not zonePolicy.
	told string
	// outer is the rule that lets a tunnel's own packets in.
	outer string
}

const (
	closed = `		iifname "lan" oifname "dmz" tcp dport 1-1023 counter drop comment "no services"` + "\n"
	late   = `		iifname "lan" oifname "dmz" tcp dport 443 counter accept comment "late"` + "\n"
)

// rules are the firewall's, two of them in an order.
func (z *zone) rules(first, second string) string {
	text := `
table inet filter {
	chain input {
		type filter hook input priority 0; policy drop;
		` + z.outer + `
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } counter accept comment "neighbours"
		iifname "lan" tcp dport 22 counter accept comment "manage"
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related counter accept comment "answers"
		iifname "lan" oifname "dmz" tcp dport 80 counter accept comment "web"
` + first + second + `
		iifname "dmz" oifname "lan" udp dport 53 counter accept comment "names"
	}
}
`
	if z.in == "" {
		return text
	}
	return strings.NewReplacer(`iifname "lan"`, `iifname "`+z.in+`"`, `iifname "dmz"`, `iifname "`+z.in+`"`).Replace(text)
}

// up is a firewall between the clients and a server.
func (z *zone) up() *harness.Lab {
	GinkgoHelper()
	harness.Require(GinkgoTB(), append(z.needs, harness.NftTool)...)
	network := topo.New("zones")
	at := z.join(network)
	dmz := network.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	network.Host("site", dmz)
	fw := network.Router("fw", append(at, dmz)...)
	if z.device != nil {
		z.device(fw, dmz)
	}
	lab := harness.Up(GinkgoTB(), network)
	Expect(lab.Node("fw").Nft(z.rules(closed, late))).To(Succeed())
	return lab
}

// clients are the prefixes of the firewall's clients.
var clients = []string{"10.0.1.0/24", "fd00:1::/64"}

func ovsZone() zone {
	return zone{needs: []harness.Feature{harness.OVS}, join: func(n *topo.Network) []topo.Attachment {
		lan := n.OVS("lan", clients...)
		n.Host("desk", lan)
		return []topo.Attachment{lan}
	}}
}

func bridgeZone() zone {
	var one, two *topo.Segment
	return zone{join: func(n *topo.Network) []topo.Attachment {
		one, two = n.Wire("one", clients...), n.Wire("two")
		n.Host("desk", one)
		n.Host("other", two)
		return []topo.Attachment{one, two}
	}, device: func(fw *topo.Node, _ *topo.Segment) { fw.Bridge("lan", one, two) }}
}

// vrfZone has both networks in a routing domain of their own, by which packets come in that leave by its ports.
func vrfZone() zone {
	var lan *topo.Segment
	return zone{needs: []harness.Feature{harness.VRF}, in: "red", told: domainPolicy, join: func(n *topo.Network) []topo.Attachment {
		lan = n.Switch("lan", clients...)
		n.Host("desk", lan)
		return []topo.Attachment{lan}
	}, device: func(fw *topo.Node, dmz *topo.Segment) { fw.VRF("red", 10, lan, dmz) }}
}

// overlaid is a zone that is made over another network.
func overlaid(prefix, outer string, over func(n *topo.Network, core *topo.Segment) *topo.Segment, needs ...harness.Feature) zone {
	return zone{needs: needs, outer: outer, join: func(n *topo.Network) []topo.Attachment {
		core := n.Switch("core", prefix)
		lan := over(n, core)
		// It is on the other network with the firewall as well.
		n.Host("desk", core, lan).Route(topo.Route{To: "10.0.2.0/24", Via: "10.0.1.2"}, topo.Route{To: "fd00:2::/64", Via: "fd00:1::2"})
		return []topo.Attachment{core, lan}
	}}
}

func vlanZone() zone {
	return zone{needs: []harness.Feature{harness.VLAN, harness.VLANFiltering}, join: func(n *topo.Network) []topo.Attachment {
		trunk := n.Switch("trunk")
		lan := n.VLAN("lan", trunk, 100, clients...)
		n.Host("desk", trunk.Access(100))
		return []topo.Attachment{trunk, lan}
	}}
}

func vxlanOver(prefix string) func() zone {
	return func() zone {
		return overlaid(prefix, `iifname "core" udp dport 4789 counter accept comment "tunnel"`, func(n *topo.Network, core *topo.Segment) *topo.Segment {
			return n.VXLAN("lan", core, 42, clients...)
		}, harness.VXLAN)
	}
}

func greZone() zone {
	return overlaid("192.0.2.0/24", `iifname "core" meta l4proto gre counter accept comment "tunnel"`, func(n *topo.Network, core *topo.Segment) *topo.Segment {
		return n.GRE("lan", core, 7, clients...)
	}, harness.GRE)
}

func wireguardZone() zone {
	return overlaid("192.0.2.0/24", `iifname "core" udp dport 51820 counter accept comment "tunnel"`, func(n *topo.Network, core *topo.Segment) *topo.Segment {
		return n.WireGuard("lan", core, clients...)
	}, harness.WireGuard)
}

// zonePolicy is what the firewall does with the clients, whatever their interface is.
const zonePolicy = `
	lan -> dmz:
		established, related: accepted by "answers"
		tcp 1-79, 81-1023: dropped by "no services"
		tcp 80: accepted by "web"
		all else: dropped by policy drop of inet filter forward
	lan -> fw:
		icmpv6 nd-neighbor-solicit, nd-neighbor-advert: accepted by "neighbours"
		tcp 22: accepted by "manage"
		all else: dropped by policy drop of inet filter input
	dmz -> lan:
		established, related: accepted by "answers"
		udp 53: accepted by "names"
		all else: dropped by policy drop of inet filter forward
	... -> ...:
		...
`

// domainPolicy is what it does where both networks are of one VRF.
const domainPolicy = `
	red -> red:
		established, related: accepted by "answers"
		tcp 1-79, 81-1023 out by dmz: dropped by "no services"
		tcp 80 out by dmz: accepted by "web"
		udp 53 out by lan: accepted by "names"
		all else: dropped by policy drop of inet filter forward
	red -> fw:
		tcp 22: accepted by "manage"
		all else: dropped by policy drop of inet filter input
	... -> ...:
		...
	not told: of the VRF red: what the node itself sends by it, and what is for one of its links alone
`

var _ = DescribeTable("of the zones of a firewall each kind is told what rules do with it, as real connections show", func(ctx SpecContext, make func() zone) {
	z := make()
	lab := z.up()
	report, err := policy.Cover(ctx, lab, "fw")
	Expect(err).NotTo(HaveOccurred())
	AddReportEntry("the report", report.String(), ReportEntryVisibilityFailureOrVerbose)
	for _, rule := range report.Rules {
		want := policy.Decided
		if rule.Comment == "late" {
			want = policy.Shadowed
		}
		Expect(rule.Fate).To(Equal(want), rule.String())
	}
	told := zonePolicy
	if z.told != "" {
		told = z.told
	}
	Expect(policyOf(ctx, lab)).To(policy.MatchPolicy(told))

	after := z.rules(late, closed)
	found, err := policy.CompareRules(ctx, lab, "fw", z.rules(closed, late), after)
	Expect(err).NotTo(HaveOccurred())
	AddReportEntry("the difference", found.String(), ReportEntryVisibilityFailureOrVerbose)
	Expect(found.Notes).To(BeEmpty())
	Expect(found.String()).To(And(HavePrefix("2 kinds of packets are treated differently:"),
		ContainSubstring("now is let through: tcp 10.0.1.1:"), ContainSubstring("now is let through: tcp [fd00:1::1]:"), ContainSubstring(":443 SYN, in by ")))

	desk, site, fw := lab.Node("desk"), lab.Node("site"), lab.Node("fw")
	probes.Serve(GinkgoTB(), site, probes.TCP(80), probes.TCP(443))
	for _, to := range site.Addrs() {
		Expect(dialIn(ctx, desk, to, 80, soon)).To(Succeed())
		Expect(dialIn(ctx, desk, to, 443, silence)).NotTo(Succeed())
	}
	Eventually(func() map[string]uint64 { // a socket of a VRF's own is not asked for: the kernel refuses what the rule lets in
		_ = dialIn(ctx, desk, fw.On("lan").Addrs()[0], 22, silence)
		return packets(fw)
	}).Should(HaveKeyWithValue("manage", BeNumerically(">", 0)))
	counts := packets(fw)
	for _, met := range []string{"web", "answers", "no services"} {
		Expect(counts).To(HaveKeyWithValue(met, BeNumerically(">", 0)))
	}
	Expect(counts).To(HaveKeyWithValue("late", BeZero()))
	Expect(fw.Nft("flush ruleset\n" + after)).To(Succeed())
	for _, to := range site.Addrs() {
		Expect(dialIn(ctx, desk, to, 443, soon)).To(Succeed())
	}
},
	Entry("ports of an Open vSwitch", ovsZone),
	Entry("a bridge of its own", bridgeZone),
	Entry("a VLAN", vlanZone),
	Entry("a VRF", vrfZone),
	Entry("a VXLAN", vxlanOver("192.0.2.0/24")),
	Entry("a VXLAN over IPv6", vxlanOver("fd00:9::/64")),
	Entry("a GRE tunnel", greZone),
	Entry("a WireGuard tunnel", wireguardZone),
)

// dialIn connects to a port of an address.
func dialIn(ctx context.Context, from *harness.Node, to netip.Addr, port uint16, within time.Duration) error {
	return dial(ctx, from, netip.AddrPortFrom(to, port), within)
}
