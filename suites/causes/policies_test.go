package causes_test

import (
	"fmt"
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const table = 100

// choose gives a node rules of its routing policy for packets from addresses.
func choose(node *harness.Node, rule netlink.Rule, froms ...netip.Addr) (forget func()) {
	GinkgoHelper()
	var rules []netlink.Rule
	for _, from := range froms {
		rule := rule
		rule.Src, rule.Family, rule.Priority = prefix(hostPrefix(from).String()), netlink.FAMILY_V4, 90
		if from.Is6() {
			rule.Family = netlink.FAMILY_V6
		}
		Expect(node.Netlink().RuleAdd(&rule)).To(Succeed())
		rules = append(rules, rule)
	}
	return func() {
		GinkgoHelper()
		for _, rule := range rules {
			Expect(node.Netlink().RuleDel(&rule)).To(Succeed())
		}
	}
}

func lookup() netlink.Rule {
	rule := netlink.NewRule()
	rule.Table = table
	return *rule
}

// action is a rule that ends packets by itself.
func action(routeType uint8) netlink.Rule {
	rule := netlink.NewRule()
	rule.Type = routeType
	return *rule
}

// inTable puts routes into the other table.
func inTable(node *harness.Node, routes ...netlink.Route) {
	GinkgoHelper()
	for _, route := range routes {
		route.Table = table
		Expect(node.Netlink().RouteAdd(&route)).To(Succeed(), "%s", route)
	}
}

var _ = Describe("a routing policy", func() {
	It("that leads to a blackhole isolates", func(ctx SpecContext) {
		o := up()
		inTable(o.fw, netlink.Route{Dst: prefix("0.0.0.0/0"), Type: unix.RTN_BLACKHOLE}, netlink.Route{Dst: prefix("::/0"), Type: unix.RTN_BLACKHOLE})
		o.reaches(ctx, all...)
		forgetIt := choose(o.fw, lookup(), client4, client6)
		isolated(ctx, o.client, o.server, "fw", evidence.Blackhole, "", all...)
		Expect(o.server).To(probes.Reach(o.fw.On("lan"), patient(icmp)...).WithContext(ctx), "others are not chosen")

		By("forgetting the rule, as the control")
		forgetIt()
		o.reaches(ctx, all...)
	})

	It("that leads to a gateway that nobody is is named", func(ctx SpecContext) {
		o := up()
		inTable(o.fw,
			netlink.Route{Dst: prefix("0.0.0.0/0"), Gw: netip.MustParseAddr("10.0.2.77").AsSlice()},
			netlink.Route{Dst: prefix("::/0"), Gw: netip.MustParseAddr("fd00:2::77").AsSlice()})
		forgetIt := choose(o.fw, lookup(), client4, client6)
		results := broken(ctx, o.client, o.server, "fw", evidence.Neighbour, all...)
		Expect(results).To(HaveEach(HaveField("Cause.Detail", HaveSuffix("77"))))

		By("forgetting the rule, as the control")
		forgetIt()
		o.reaches(ctx, all...)
	})

	It("that leads to the wrong link is named", func(ctx SpecContext) {
		o := up()
		// A router tells who sends it what goes back out of the same link that the target
		// is its neighbour (RFC 4861, 8.2). A client that believes it keeps the next one.
		for _, key := range []string{"net.ipv4.conf.all", "net.ipv4.conf.lan", "net.ipv6.conf.lan"} {
			Expect(o.client.SetSysctl(key+".accept_redirects", "0")).To(Succeed())
		}
		lan := link(o.fw, "lan").Attrs().Index
		inTable(o.fw,
			netlink.Route{Dst: prefix(dmz4.String()), LinkIndex: lan, Scope: netlink.SCOPE_LINK},
			netlink.Route{Dst: prefix(dmz6.String()), LinkIndex: lan})
		forgetIt := choose(o.fw, lookup(), client4, client6)
		results := broken(ctx, o.client, o.server, "fw", evidence.Neighbour, all...)
		Expect(results).To(HaveEach(HaveField("Cause.Interface", "lan")))

		By("forgetting the rule, as the control")
		forgetIt()
		o.reaches(ctx, all...)
	})

	It("of the server's for its answers is asked about their source", func(ctx SpecContext) {
		o := up()
		inTable(o.server, netlink.Route{Dst: prefix("0.0.0.0/0"), Type: unix.RTN_PROHIBIT}, netlink.Route{Dst: prefix("::/0"), Type: unix.RTN_PROHIBIT})
		forgetIt := choose(o.server, lookup(), server4, server6)
		Expect(isolated(ctx, o.client, o.server, "server", evidence.Prohibit, "", all...)).To(onItsWay(evidence.Answer))

		By("forgetting the rule, as the control")
		forgetIt()
		o.reaches(ctx, all...)
	})

	DescribeTable("that ends packets by itself isolates, and is named", func(ctx SpecContext, ends uint8, kind evidence.Kind, name string) {
		o := up()
		forgetIt := choose(o.fw, action(ends), client4, client6)
		for _, r := range isolated(ctx, o.client, o.server, "fw", kind, "", all...) {
			from := client4
			if r.Addr.Is6() {
				from = client6
			}
			Expect(r.Cause.Detail).To(Equal(fmt.Sprintf("policy routing rule 90: from %s %s", from, name)))
		}

		By("forgetting the rule, as the control")
		forgetIt()
		o.reaches(ctx, all...)
	},
		Entry("prohibit", uint8(unix.RTN_PROHIBIT), evidence.Prohibit, "prohibit"),
		// The kernel says of it what it says where there is no route.
		Entry("unreachable", uint8(unix.RTN_UNREACHABLE), evidence.Unreachable, "unreachable"),
		Entry("blackhole", uint8(unix.RTN_BLACKHOLE), evidence.Blackhole, "blackhole"),
	)

	It("that ends packets by itself is named though a route would do so in a table that nobody asks", func(ctx SpecContext) {
		o := up()
		addRoutes(o.fw, unix.RTN_BLACKHOLE, server4, server6)
		choose(o.fw, action(unix.RTN_BLACKHOLE), client4, client6)
		for _, r := range isolated(ctx, o.client, o.server, "fw", evidence.Blackhole, "", icmp, web) {
			Expect(r.Cause.Detail).To(HavePrefix("policy routing rule 90: "))
		}
	})

	It("for a protocol and port leads past a route that ends all others", func(ctx SpecContext) {
		o := up()
		dmz := link(o.fw, "dmz").Attrs().Index
		inTable(o.fw, netlink.Route{Dst: prefix(dmz4.String()), LinkIndex: dmz, Scope: netlink.SCOPE_LINK}, netlink.Route{Dst: prefix(dmz6.String()), LinkIndex: dmz})
		rule := lookup()
		rule.IPProto, rule.Dport = unix.IPPROTO_TCP, netlink.NewRulePortRange(80, 80)
		choose(o.fw, rule, client4, client6)
		addRoutes(o.fw, unix.RTN_BLACKHOLE, server4, server6)
		o.reaches(ctx, web)
		isolated(ctx, o.client, o.server, "fw", evidence.Blackhole, "", icmp, dns)

		By("taking the server's neighbours away: what is not answered for is no blackhole")
		for _, addr := range []netip.Addr{server4, server6} {
			forget(o.fw, "dmz", addr)
		}
		Expect(o.server.Port("dmz").Down()).To(Succeed())
		for _, r := range watch(ctx, o.client, o.server, web.Within(silence)) {
			Expect(r.Cause).NotTo(HaveField("Kind", evidence.Blackhole), "%s", r.Timeline)
		}
	})

	It("by a mark of nftables isolates those that have it", func(ctx SpecContext) {
		o := ruled(atFw, markDNS)
		inTable(o.fw, netlink.Route{Dst: prefix("0.0.0.0/0"), Type: unix.RTN_BLACKHOLE}, netlink.Route{Dst: prefix("::/0"), Type: unix.RTN_BLACKHOLE})
		forgetIt := choose(o.fw, marked(), client4, client6)
		isolated(ctx, o.client, o.server, "fw", evidence.Blackhole, "", dns)
		o.reaches(ctx, icmp, web)

		By("forgetting the rule, as the control")
		forgetIt()
		o.reaches(ctx, all...)
	})

	It("by a mark leads where no other packet goes, and what is broken there is no policy", func(ctx SpecContext) {
		o := ruled(atFw, markDNS)
		dmz := link(o.fw, "dmz").Attrs().Index
		inTable(o.fw, netlink.Route{Dst: prefix(dmz4.String()), LinkIndex: dmz, Scope: netlink.SCOPE_LINK}, netlink.Route{Dst: prefix(dmz6.String()), LinkIndex: dmz})
		choose(o.fw, marked(), client4, client6)
		giveBack := delRoutes(o.fw, dmz4, dmz6)
		o.reaches(ctx, dns)
		isolated(ctx, o.client, o.server, "fw", evidence.NoRoute, "", icmp, web)
		take(o.server, "dmz", "10.0.2.1/24")
		take(o.server, "dmz", "fd00:2::1/64")
		forget(o.fw, "dmz", server4, server6)
		broken(ctx, o.client, o.server, "server", evidence.NoAddress, dns)
		give(o.server, "dmz", "10.0.2.1/24")
		give(o.server, "dmz", "fd00:2::1/64")
		giveRoutes(o.server, []netlink.Route{
			{Dst: prefix("0.0.0.0/0"), Gw: netip.MustParseAddr("10.0.2.2").AsSlice()}, {Dst: prefix("::/0"), Gw: netip.MustParseAddr("fd00:2::2").AsSlice()}})

		By("having the route for all, as the control")
		giveBack()
		forget(o.fw, "dmz", server4, server6)
		o.reaches(ctx, all...)
	})

	It("by a mark of iptables-legacy isolates those that have it", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.Tool("iptables-legacy"))
		o := up()
		o.iptables("iptables-legacy", "-t", "mangle", "-A", "PREROUTING", "-p", "udp", "--dport", "53", "-j", "MARK", "--set-mark", "7")
		inTable(o.fw, netlink.Route{Dst: prefix("0.0.0.0/0"), Type: unix.RTN_BLACKHOLE})
		forgetIt := choose(o.fw, marked(), client4)
		isolated(ctx, o.client, server4, "fw", evidence.Blackhole, "", dns)
		o.reaches(ctx, icmp, web)

		By("forgetting the rule, as the control")
		forgetIt()
		o.reaches(ctx, all...)
	})
})

const markDNS = `table inet mangle { chain in { type filter hook prerouting priority -150; udp dport 53 meta mark set 7; }; }`

func marked() netlink.Rule {
	rule := lookup()
	rule.Mark = 7
	return rule
}
