package openvswitch_test

import (
	"net"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// tenants are two hosts of a VLAN each, and a third of the first one's, on an Open vSwitch with
// flows; web serves.
func tenants(flows ...string) (lab *harness.Lab, pc, web *harness.Node) {
	GinkgoHelper()
	network := topo.New("tenants")
	lan := network.OVS("br-int", "10.0.1.0/24", "fd00:1::/64").Flow(flows...)
	network.Host("pc", lan.Access(10))
	network.Host("web", lan.Access(20))
	network.Host("tv", lan.Access(10))
	lab = harness.Up(GinkgoTB(), network)
	pc, web = lab.Node("pc"), lab.Node("web")
	probes.Serve(GinkgoTB(), web, probes.UDP(53))
	return lab, pc, web
}

var _ = Describe("VLANs of an Open vSwitch", func() {
	It("isolate, are named by the ports' numbers, and matter", func(ctx SpecContext) {
		lab, pc, web := tenants("priority=10,tcp,actions=resubmit(,7)", "table=7,actions=NORMAL")
		Expect(delivered(pc, web, 0, 5000)).To(BeZero())
		Expect(pc).To(probes.Reach(lab.Node("tv"), probes.ICMP()).WithContext(ctx))
		Expect(pc).To(probes.BeIsolatedFrom(web, probes.UDP(53), probes.TCP(80)).At("pc").Because(evidence.PortVLAN).WithContext(ctx))

		By("joining the two by a flow of another table, that is for nobody")
		_, err := lab.OVS("br-int").Ofctl("add-flow", "table=9,actions=output:web")
		Expect(err).NotTo(HaveOccurred())
		Expect(pc).To(probes.MustMatter(probes.BeIsolatedFrom(web.On("br-int"), probes.UDP(53))).Because(evidence.PortVLAN).At("pc").WithContext(ctx))
		result, err := probes.Watch(ctx, pc, web, probes.UDP(53))
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Cause.String()).To(ContainSubstring("the VLAN filter of switch br-int: port pc is in VLAN 10, port web is in VLAN 20"))
	})

	It("isolate nobody whom a flow hands to the other's port", func(ctx SpecContext) {
		_, pc, web := tenants("priority=10,udp,in_port=pc,udp_dst=5000,actions=output:web")
		Expect(pc.AddNeighbour("br-int", web.Addr(), macOf(web))).To(Succeed())
		Expect(delivered(pc, web, 0, 5000)).To(Equal(1))
		noVerdict(ctx, pc, probes.BeIsolatedFrom(web, probes.UDP(5000)), "nobody has port 5000: no policy isolates here")
	})

	It("do not isolate a host that gets frames with a tag it lacks", func(ctx SpecContext) {
		_, pc, web := pair("priority=10,udp,in_port=pc,actions=mod_vlan_vid:10,output:web", "priority=10,udp6,in_port=pc,actions=mod_vlan_vid:10,output:web")
		Expect(delivered(pc, web, 0, 5000)).To(BeZero())
		noVerdict(ctx, pc, probes.BeIsolatedFrom(web, probes.UDP(53)), "it came with the tag of VLAN 10, of which no interface there is: no policy isolates here")
		Expect(pc).To(probes.BeIsolatedFrom(web.On("br-int"), probes.UDP(53)).Because(evidence.Tag).At("web").WithContext(ctx))
	})
})

var _ = Describe("a flow that hands packets to a third's port", func() {
	It("does not isolate, for who is there may hand them on", func(ctx SpecContext) {
		network := topo.New("third")
		lan := network.OVS("br-int", "10.0.1.0/24").Flow("cookie=0x2a,priority=10,udp,in_port=pc,actions=output:tv")
		for _, name := range []string{"pc", "web", "tv"} {
			network.Host(name, lan)
		}
		lab := harness.Up(GinkgoTB(), network)
		pc, web := lab.Node("pc"), lab.Node("web")
		before := received(lab.Node("tv"))
		Expect(delivered(pc, web, 0, 5000)).To(BeZero())
		Expect(received(lab.Node("tv"))).To(BeNumerically(">", before), "the control: tv gets it")
		noVerdict(ctx, pc, probes.BeIsolatedFrom(web, probes.UDP(53)), "hands it to port tv, and not to who it was for: a program there may hand it on")
	})
})

// received is how many frames came in at a host's port: the kernel's own count.
func received(node *harness.Node) uint64 {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName("br-int")
	Expect(err).NotTo(HaveOccurred())
	return link.Attrs().Statistics.RxPackets
}

// macOf is the MAC of a host's port.
func macOf(node *harness.Node) net.HardwareAddr {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName("br-int")
	Expect(err).NotTo(HaveOccurred())
	return link.Attrs().HardwareAddr
}
