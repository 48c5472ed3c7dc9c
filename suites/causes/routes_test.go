package causes_test

import (
	"net"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var _ = Describe("a route", func() {
	It("that the client lacks is the client's own mistake", func(ctx SpecContext) {
		o := up()
		giveBack := takeRoutes(o.client, "0.0.0.0/0", "::/0")
		Expect(broken(ctx, o.client, o.server, "client", evidence.NoRoute, all...)).To(HaveEach(And(
			HaveField("Outcome", probes.Unsent), HaveField("Errno", unix.ENETUNREACH))))

		By("giving it back, as the control")
		giveBack()
		o.reaches(ctx, all...)
	})

	It("that fw lacks is a mistake, as nobody said that it should", func(ctx SpecContext) {
		o := up()
		giveBack := takeRoutes(o.fw, dmz4.String(), dmz6.String())
		Expect(broken(ctx, o.client, o.server, "fw", evidence.NoRoute, all...)).To(onItsWay(evidence.Request))

		By("giving it back, as the control")
		giveBack()
		o.reaches(ctx, all...)
	})

	It("that was taken from fw through the lab isolates", func(ctx SpecContext) {
		o := up()
		giveBack := delRoutes(o.fw, dmz4, dmz6)
		Expect(isolated(ctx, o.client, o.server, "fw", evidence.NoRoute, "", all...)).To(onItsWay(evidence.Request))

		By("giving it back, as the control")
		giveBack()
		o.reaches(ctx, all...)
	})

	It("that the server lacks for its answer is the server's mistake", func(ctx SpecContext) {
		o := up()
		giveBack := takeRoutes(o.server, "0.0.0.0/0", "::/0")
		Expect(broken(ctx, o.client, o.server, "server", evidence.NoRoute, all...)).To(onItsWay(evidence.Answer))

		By("giving it back, as the control")
		giveBack()
		o.reaches(ctx, all...)
	})

	It("that was taken from fw through the lab isolates the answer", func(ctx SpecContext) {
		o := up()
		giveBack := delRoutes(o.fw, lan4, lan6)
		Expect(isolated(ctx, o.client, o.server, "fw", evidence.NoRoute, "", all...)).To(onItsWay(evidence.Answer))

		By("giving it back, as the control")
		giveBack()
		o.reaches(ctx, all...)
	})

	DescribeTable("of fw's that ends there isolates", func(ctx SpecContext, routeType int, kind evidence.Kind, name string) {
		o := up()
		takeAway := addRoutes(o.fw, routeType, server4, server6)
		results := isolated(ctx, o.client, o.server, "fw", kind, "", all...)
		Expect(results).To(onItsWay(evidence.Request))
		for _, r := range results {
			Expect(r).To(probes.BeIsolatedFrom(o.server).By(name + " route " + hostPrefix(r.Addr).String()))
		}

		By("taking it away, as the control")
		takeAway()
		o.reaches(ctx, all...)
	},
		Entry("blackhole", unix.RTN_BLACKHOLE, evidence.Blackhole, "blackhole"),
		Entry("unreachable", unix.RTN_UNREACHABLE, evidence.Unreachable, "unreachable"),
		Entry("prohibit", unix.RTN_PROHIBIT, evidence.Prohibit, "prohibit"),
	)

	DescribeTable("of fw's that ends the answer there isolates", func(ctx SpecContext, routeType int, kind evidence.Kind) {
		o := up()
		takeAway := addRoutes(o.fw, routeType, client4, client6)
		Expect(isolated(ctx, o.client, o.server, "fw", kind, "", all...)).To(onItsWay(evidence.Answer))

		By("taking it away, as the control")
		takeAway()
		o.reaches(ctx, all...)
	},
		Entry("blackhole", unix.RTN_BLACKHOLE, evidence.Blackhole),
		Entry("unreachable", unix.RTN_UNREACHABLE, evidence.Unreachable),
		Entry("prohibit", unix.RTN_PROHIBIT, evidence.Prohibit),
	)

	DescribeTable("of the client's that ends there isolates", func(ctx SpecContext, routeType int, kind evidence.Kind, errno unix.Errno) {
		o := up()
		takeAway := addRoutes(o.client, routeType, server4, server6)
		Expect(isolated(ctx, o.client, o.server, "client", kind, "", all...)).To(HaveEach(And(
			HaveField("Outcome", probes.Unsent), HaveField("Errno", errno))))

		By("taking it away, as the control")
		takeAway()
		o.reaches(ctx, all...)
	},
		Entry("blackhole", unix.RTN_BLACKHOLE, evidence.Blackhole, unix.EINVAL),
		Entry("unreachable", unix.RTN_UNREACHABLE, evidence.Unreachable, unix.EHOSTUNREACH),
		Entry("prohibit", unix.RTN_PROHIBIT, evidence.Prohibit, unix.EACCES),
	)
})

var _ = Describe("forwarding", func() {
	DescribeTable("that is off isolates", func(ctx SpecContext, key string, to, other netip.Addr) {
		o := up()
		Expect(o.fw.SetSysctl(key, "0")).To(Succeed())
		Expect(isolated(ctx, o.client, to, "fw", evidence.NoForward, key+"=0", all...)).To(onItsWay(evidence.Request))
		Expect(o.client).To(probes.Reach(other, patient(all...)...).WithContext(ctx), "the other family is forwarded")

		By("turning it on, as the control")
		Expect(o.fw.SetSysctl(key, "1")).To(Succeed())
		o.reaches(ctx, all...)
	},
		Entry("for IPv4", "net.ipv4.ip_forward", server4, server6),
		Entry("for IPv6", "net.ipv6.conf.all.forwarding", server6, server4),
		Entry("for what comes in at one interface", "net.ipv4.conf.lan.forwarding", server4, server6),
	)

	It("that is off leaves a rule in front of it to be named", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := up()
		for _, key := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
			Expect(o.fw.SetSysctl(key, "0")).To(Succeed())
		}
		Expect(o.fw.Nft(`table inet f { chain early { type filter hook prerouting priority -300;
			iifname "lan" meta l4proto { tcp, udp } drop comment "early"; }; }`)).To(Succeed())
		for _, to := range []netip.Addr{server4, server6} {
			Expect(o.client).To(probes.BeIsolatedFrom(to, web, dns).At("fw").By("early").WithContext(ctx))
			isolated(ctx, o.client, to, "fw", evidence.NoForward, "", icmp)
		}
	})

	It("that is off at one interface isolates nobody in IPv6, where it means another thing", func(ctx SpecContext) {
		o := up()
		Expect(o.fw.SetSysctl("net.ipv6.conf.lan.forwarding", "0")).To(Succeed())
		o.reaches(ctx, all...)
		block := &netlink.XfrmPolicy{Src: prefix(hostPrefix(client6).String()), Dst: prefix(hostPrefix(server6).String()),
			Dir: netlink.XFRM_DIR_FWD, Action: netlink.XFRM_POLICY_BLOCK}
		Expect(o.fw.Do(func() error { return netlink.XfrmPolicyAdd(block) })).To(Succeed())
		isolated(ctx, o.client, server6, "fw", evidence.XFRM, "", dns) // and not its forwarding
	})

	It("that is off everywhere but forced at one interface isolates nobody", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.Kernel(6, 17))
		o := up()
		Expect(o.fw.SetSysctl("net.ipv6.conf.all.forwarding", "0")).To(Succeed()) // it takes the others away
		for _, name := range []string{"lan", "dmz"} {                             // for the request, and for the answer
			Expect(o.fw.SetSysctl("net.ipv6.conf."+name+".force_forwarding", "1")).To(Succeed())
		}
		giveBack := takeRoutes(o.server, "::/0")
		broken(ctx, o.client, server6, "server", evidence.NoRoute, all...)

		By("having a route for the answer, as the control")
		giveBack()
		o.reaches(ctx, all...)
	})
})

func prefix(text string) *net.IPNet {
	p := netip.MustParsePrefix(text)
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func hostPrefix(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }

// takeRoutes takes a node's routes to prefixes from its main table.
func takeRoutes(node *harness.Node, prefixes ...string) (giveBack func()) {
	GinkgoHelper()
	var taken []netlink.Route
	for _, route := range routesOf(node) {
		if slices.Contains(prefixes, route.Dst.String()) {
			Expect(node.Netlink().RouteDel(&route)).To(Succeed())
			taken = append(taken, route)
		}
	}
	Expect(taken).To(HaveLen(len(prefixes)))
	return func() {
		GinkgoHelper()
		giveRoutes(node, taken)
	}
}

// delRoutes takes routes away through the lab, as somebody does who wants none.
func delRoutes(node *harness.Node, prefixes ...netip.Prefix) (giveBack func()) {
	GinkgoHelper()
	var taken []netlink.Route
	for _, route := range routesOf(node) {
		for _, to := range prefixes {
			if route.Dst != nil && route.Dst.String() == to.String() {
				taken = append(taken, route)
			}
		}
	}
	for _, to := range prefixes {
		Expect(node.DelRoute(to)).To(Succeed())
	}
	return func() {
		GinkgoHelper()
		giveRoutes(node, taken)
	}
}

// routesOf are those of a node's main table.
func routesOf(node *harness.Node) []netlink.Route {
	GinkgoHelper()
	routes, err := node.Netlink().RouteList(nil, netlink.FAMILY_ALL)
	Expect(err).NotTo(HaveOccurred())
	return routes
}

// giveRoutes gives a node routes, those through gateways last.
func giveRoutes(node *harness.Node, routes []netlink.Route) {
	GinkgoHelper()
	for _, through := range []bool{false, true} {
		for _, route := range routes {
			if (len(route.Gw) > 0) == through {
				Expect(node.Netlink().RouteReplace(&route)).To(Succeed(), "%s", route)
			}
		}
	}
}

// addRoutes gives a node routes of a type that need no interface.
func addRoutes(node *harness.Node, routeType int, addrs ...netip.Addr) (takeAway func()) {
	GinkgoHelper()
	for _, addr := range addrs {
		Expect(node.Netlink().RouteAdd(&netlink.Route{Dst: prefix(hostPrefix(addr).String()), Type: routeType})).To(Succeed())
	}
	return func() {
		GinkgoHelper()
		for _, addr := range addrs {
			Expect(node.Netlink().RouteDel(&netlink.Route{Dst: prefix(hostPrefix(addr).String()), Type: routeType})).To(Succeed())
		}
	}
}
