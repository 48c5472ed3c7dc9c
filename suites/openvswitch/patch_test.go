package openvswitch_test

import (
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// patched is a host on an Open vSwitch, and one that serves on another, with flows; a third is between
// them.
func patched(inner, outer []string) (lab *harness.Lab, pc, web *harness.Node) {
	GinkgoHelper()
	network := topo.New("patched")
	outside := network.OVS("br-ex").Flow(outer...)
	between := network.OVS("br-tun").Patch(outside)
	lan := network.OVS("br-int", "10.0.1.0/24", "fd00:1::/64").Patch(between).Flow(inner...)
	network.Host("pc", lan)
	network.Host("tv", lan)
	network.Host("web", outside)
	lab = harness.Up(GinkgoTB(), network)
	pc, web = lab.Node("pc"), lab.Node("web")
	probes.Serve(GinkgoTB(), web, probes.TCP(80), probes.UDP(53))
	return lab, pc, web
}

var _ = Describe("Open vSwitches that patch ports join", func() {
	It("hand on what no flow ends, and who answers is proven", func(ctx SpecContext) {
		_, pc, web := patched(nil, nil)
		Expect(delivered(pc, web, 0, 5000)).To(Equal(2))
		Expect(pc).To(probes.Reach(web, probes.ICMP(), probes.TCP(80), probes.UDP(53)).WithContext(ctx))
		Expect(web).To(probes.Reach(pc, probes.ICMP()).WithContext(ctx))
	})

	It("isolate by a flow of the one behind, which is named as that one's, and matters", func(ctx SpecContext) {
		_, pc, web := patched(nil, slices.Concat(whole, []string{
			"cookie=0x2a,priority=10,udp,in_port=br-ex-br-tun,udp_dst=5000,actions=drop", "cookie=0x2a,priority=10,udp6,udp_dst=5000,actions=drop",
		}))
		Expect(delivered(pc, web, 0, 5000)).To(BeZero())
		Expect(pc).To(probes.MustMatter(probes.BeIsolatedFrom(web, probes.UDP(5000))).By("cookie=0x2a").Because(evidence.FlowDrop).At("pc").WithContext(ctx))
		result, err := probes.Watch(ctx, pc, web, probes.UDP(5000))
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Cause.Switch).To(Equal("br-ex"))
		Expect(result.Cause.String()).To(ContainSubstring("of switch br-ex"))
		Expect(pc).To(probes.Reach(web, probes.TCP(80)).WithContext(ctx))
	})

	It("do not isolate by a flow that hands packets to a third, and not to the patch port", func(ctx SpecContext) {
		_, pc, web := patched(slices.Concat(whole, neighbours, []string{"cookie=0x2b,priority=10,in_port=pc,actions=output:tv"}), nil)
		Expect(delivered(pc, web, 0, 5000)).To(BeZero())
		noVerdict(ctx, pc, probes.BeIsolatedFrom(web, probes.UDP(53)), "hands it to port tv, and not to who it was for: a program there may hand it on")
	})

	It("isolate where no flow of the one behind is for it", func(ctx SpecContext) {
		lab, pc, web := patched(nil, slices.Concat(whole, neighbours))
		_, err := lab.OVS("br-ex").Ofctl("del-flows", "--strict", "priority=0")
		Expect(err).NotTo(HaveOccurred())
		Expect(delivered(pc, web, 0, 5000)).To(BeZero())
		Expect(pc).To(probes.MustMatter(probes.BeIsolatedFrom(web, probes.UDP(5000))).By("no flow of table 0").WithContext(ctx))
	})

	It("are asked at each port that flows of the one behind name, where no probes are said", func(ctx SpecContext) {
		only := slices.Concat(whole, neighbours, []string{"priority=10,in_port=br-ex-br-tun,actions=drop"})
		_, pc, web := patched(nil, only)
		Expect(pc).To(probes.BeIsolatedFrom(web).WithContext(ctx))

		_, pc, web = patched(nil, slices.Concat(only, []string{"priority=20,udp,udp_dst=5000,actions=NORMAL", "priority=20,udp6,udp_dst=5000,actions=NORMAL"}))
		Expect(delivered(pc, web, 0, 5000)).To(Equal(2))
		noVerdict(ctx, pc, probes.BeIsolatedFrom(web), "udp/5000")
	})

	It("keep VLANs apart, and isolate nobody by them whom flows join", func(ctx SpecContext) {
		network := topo.New("tenants")
		outside := network.OVS("br-ex").Flow("priority=10,in_port=br-ex-br-int,dl_vlan=10,actions=mod_vlan_vid:20,NORMAL", "priority=10,in_port=web,actions=mod_vlan_vid:10,output:br-ex-br-int")
		lan := network.OVS("br-int", "10.0.1.0/24", "fd00:1::/64").Patch(outside)
		network.Host("pc", lan.Access(10))
		network.Host("web", outside.Access(20))
		lab := harness.Up(GinkgoTB(), network)
		pc, web := lab.Node("pc"), lab.Node("web")
		probes.Serve(GinkgoTB(), web, probes.UDP(53))
		Expect(delivered(pc, web, 0, 5000)).To(Equal(2))
		Expect(pc).To(probes.Reach(web, probes.UDP(53)).WithContext(ctx))

		By("taking the flows away")
		for _, match := range []string{"in_port=br-ex-br-int", "in_port=web"} {
			_, err := lab.OVS("br-ex").Ofctl("del-flows", match)
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(delivered(pc, web, 0, 5000)).To(BeZero())
		ok, err := probes.Reach(web, probes.UDP(53)).WithContext(ctx).Match(pc)
		Expect(ok).To(BeFalse())
		Expect(err).To(MatchError(ContainSubstring("pc does not reach web with udp/53")))
		Expect(pc).To(probes.MustMatter(probes.BeIsolatedFrom(web, probes.UDP(53))).At("pc").Because(evidence.PortVLAN).WithContext(ctx))
	})
})
