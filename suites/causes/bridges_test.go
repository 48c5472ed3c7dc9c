package causes_test

import (
	"net/netip"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// bridgeOf makes a bridge of a node's ports.
func bridgeOf(node *harness.Node, ports ...string) {
	GinkgoHelper()
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "bridge"}}
	Expect(node.Netlink().LinkAdd(bridge)).To(Succeed())
	for _, port := range ports {
		Expect(node.Netlink().LinkSetMaster(link(node, port), bridge)).To(Succeed())
	}
	Expect(node.Netlink().LinkSetUp(bridge)).To(Succeed())
}

// bridged is client --left-- fw --right-- server, with fw a bridge: the client and
// the server are on one segment, and fw has no address.
func bridged() office {
	GinkgoHelper()
	network := topo.New("bridged")
	left := network.Wire("left", "10.0.9.0/24", "fd00:9::/64")
	right := network.Wire("right", "10.0.9.0/24", "fd00:9::/64")
	network.Host("client", left.At("10.0.9.1", "fd00:9::1"))
	network.Host("server", right.At("10.0.9.2", "fd00:9::2"))
	network.Host("fw", left.NoAddress(), right.NoAddress())
	lab := harness.Up(GinkgoTB(), network)
	o := office{lab.Node("client"), lab.Node("fw"), lab.Node("server")}
	probes.Serve(GinkgoTB(), o.server, web, dns)
	bridgeOf(o.fw, "left", "right")
	return o
}

// isolate makes ports of fw's bridge talk to no isolated one.
func (o office) isolate(yes bool, ports ...string) {
	GinkgoHelper()
	for _, port := range ports {
		Expect(o.fw.Netlink().LinkSetIsolated(link(o.fw, port), yes)).To(Succeed())
	}
}

var _ = Describe("a bridge", func() {
	It("isolates by a rule", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := bridged()
		o.reaches(ctx, all...)
		Expect(o.fw.Nft(`table bridge filter { chain forward { type filter hook forward priority 0;
			tcp dport 80 drop comment "no web"
			udp dport 53 drop comment "no dns"
			ip protocol icmp drop comment "no ping"
			icmpv6 type echo-request drop comment "no ping"
		}; }`)).To(Succeed())
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "no web", web)
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "no dns", dns)
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "no ping", icmp)

		lift(o.fw)
		o.reaches(ctx, all...)
	})

	It("isolates by a policy", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := bridged()
		o.reaches(ctx, all...)
		Expect(o.fw.Nft(`table bridge filter { chain forward { type filter hook forward priority 0; policy drop; }; }`)).To(Succeed())
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "policy bridge filter forward", all...)

		lift(o.fw)
		o.reaches(ctx, all...)
	})

	It("isolates by isolated ports", func(ctx SpecContext) {
		o := bridged()
		o.reaches(ctx, all...)
		o.isolate(true, "left", "right")
		results := isolated(ctx, o.client, o.server, "fw", evidence.PortIsolated, "", all...)
		Expect(results).To(HaveEach(HaveField("Cause.Interface", "left")))

		By("letting them talk, as the control")
		o.isolate(false, "left", "right")
		o.reaches(ctx, all...)
	})

	It("isolates by isolated ports those who never met", func(ctx SpecContext) {
		o := bridged()
		o.isolate(true, "left", "right")
		isolated(ctx, o.client, o.server, "fw", evidence.PortIsolated, "", all...)

		By("letting them talk, as the control")
		o.isolate(false, "left", "right")
		forget(o.client, "left", netip.MustParseAddr("10.0.9.2"), netip.MustParseAddr("fd00:9::2"))
		o.reaches(ctx, all...)
	})

	It("isolates a port from no other that is not isolated", func(ctx SpecContext) {
		network := topo.New("bridged")
		var segments []*topo.Segment
		for _, name := range []string{"left", "middle", "right"} {
			segments = append(segments, network.Wire(name, "10.0.9.0/24", "fd00:9::/64"))
		}
		network.Host("client", segments[0].At("10.0.9.1", "fd00:9::1"))
		network.Host("other", segments[1].At("10.0.9.3", "fd00:9::3"))
		network.Host("server", segments[2].At("10.0.9.2", "fd00:9::2"))
		network.Host("fw", segments[0].NoAddress(), segments[1].NoAddress(), segments[2].NoAddress())
		lab := harness.Up(GinkgoTB(), network)
		o, other := office{lab.Node("client"), lab.Node("fw"), lab.Node("server")}, lab.Node("other")
		bridgeOf(o.fw, "left", "middle", "right")
		o.reaches(ctx, icmp)
		o.isolate(true, "left", "middle")
		isolated(ctx, o.client, other, "fw", evidence.PortIsolated, "", icmp)
		o.reaches(ctx, icmp)
		Expect(o.fw.Netlink().LinkSetDown(link(o.fw, "right"))).To(Succeed())
		broken(ctx, o.client, o.server, "fw", evidence.LinkDown, icmp)

		By("bringing it up, as the control")
		Expect(o.fw.Port("right").Up()).To(Succeed())
		o.reaches(ctx, icmp)
	})

	It("that is down is named", func(ctx SpecContext) {
		o := bridged()
		o.reaches(ctx, all...)
		Expect(o.fw.Netlink().LinkSetDown(link(o.fw, "bridge"))).To(Succeed())
		broken(ctx, o.client, o.server, "fw", evidence.LinkDown, all...)

		By("bringing it up, as the control")
		Expect(o.fw.Netlink().LinkSetUp(link(o.fw, "bridge"))).To(Succeed())
		o.reaches(ctx, all...)
	})

	It("whose port is down is named", func(ctx SpecContext) {
		o := bridged()
		o.reaches(ctx, all...)
		Expect(o.fw.Netlink().LinkSetDown(link(o.fw, "right"))).To(Succeed())
		results := broken(ctx, o.client, o.server, "fw", evidence.LinkDown, all...)
		Expect(results).To(HaveEach(HaveField("Cause.Interface", "right")))

		By("bringing it up, as the control")
		Expect(o.fw.Port("right").Up()).To(Succeed())
		o.reaches(ctx, all...)
	})

	DescribeTable("whose ports do not forward yet is named, and isolates nobody", func(ctx SpecContext, known bool) {
		o := bridged()
		o.reaches(ctx, all...)
		sysfs := func(script string) string {
			GinkgoHelper()
			out, err := o.fw.Command("sh", "-c", "cd /sys/class/net && "+script).CombinedOutput()
			Expect(err).NotTo(HaveOccurred(), string(out))
			return strings.TrimSpace(string(out))
		}
		const listening, learning, forwarding = "1", "2", "3" // BR_STATE_* of linux/if_bridge.h
		rejoin := func() {                                    // its state begins anew
			GinkgoHelper()
			Expect(o.fw.Netlink().LinkSetNoMaster(link(o.fw, "right"))).To(Succeed())
			Expect(o.fw.Netlink().LinkSetMaster(link(o.fw, "right"), link(o.fw, "bridge"))).To(Succeed())
		}
		sysfs("echo 3000 > bridge/bridge/forward_delay && echo 1 > bridge/bridge/stp_state")
		rejoin()
		if !known {
			forget(o.client, "left", netip.MustParseAddr("10.0.9.2"), netip.MustParseAddr("fd00:9::2"))
		}
		results := waits(ctx, o.client, o.server, "fw", evidence.PortState, all...)
		Expect(results).To(HaveEach(HaveField("Cause.Detail", MatchRegexp("of bridge is in state (listening|learning)$"))))
		Expect(sysfs("cat right/brport/state")).To(Or(Equal(listening), Equal(learning)), "the judge: the kernel's own word")

		By("doing without, as the control")
		sysfs("echo 0 > bridge/bridge/stp_state")
		rejoin()
		Expect(sysfs("cat right/brport/state")).To(Equal(forwarding))
		o.reaches(ctx, all...)
	},
		Entry("for what is sent to a known neighbour", true),
		Entry("for the question who has the address", false),
	)

	It("whose port left it is not understood", func(ctx SpecContext) {
		o := bridged()
		o.reaches(ctx, all...)
		Expect(o.fw.Netlink().LinkSetNoMaster(link(o.fw, "right"))).To(Succeed())
		inconclusive(ctx, o.client, o.server, "the bridge did not hand it on", icmp.Within(silence), dns.Within(silence))

		By("putting it back, as the control")
		Expect(o.fw.Netlink().LinkSetMaster(link(o.fw, "right"), link(o.fw, "bridge"))).To(Succeed())
		o.reaches(ctx, all...)
	})
})
