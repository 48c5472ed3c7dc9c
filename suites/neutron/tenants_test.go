package neutron_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// The tenants, each with two networks of the same addresses and MACs as the other's.
var owners = []string{"red", "blue"}

// agent is who plugs a tenant's ports: into VLANs of br-int, or into a bridge for each network.
type agent func(network *topo.Network) func(tenant string) (a, b func() topo.Port)

// openvswitch is neutron-openvswitch-agent: each network has a VLAN of br-int's.
func openvswitch(flows ...string) agent {
	return func(network *topo.Network) func(string) (a, b func() topo.Port) {
		br, vlan := network.OVS("br-int").Flow(flows...), 0
		plug := func(name, prefix string) func() topo.Port {
			vlan++
			own := vlan
			network.VLAN(name, br, own, prefix)
			return func() topo.Port { return br.Access(own) }
		}
		return func(tenant string) (a, b func() topo.Port) {
			return plug(tenant+"-a", "10.0.1.0/24"), plug(tenant+"-b", "10.0.2.0/24")
		}
	}
}

// linuxbridge is neutron-linuxbridge-agent: each network has a bridge.
func linuxbridge(network *topo.Network) func(string) (a, b func() topo.Port) {
	return func(tenant string) (a, b func() topo.Port) {
		one, two := network.Switch("brq-"+tenant+"-a", "10.0.1.0/24"), network.Switch("brq-"+tenant+"-b", "10.0.2.0/24")
		return func() topo.Port { return one.As("eth0") }, func() topo.Port { return two.As("eth0") }
	}
}

// cloud is a router, a DHCP server and two machines for each tenant.
func cloud(plugs agent) *topo.Network {
	network := topo.New("cloud")
	plug := plugs(network)
	for _, tenant := range owners {
		a, b := plug(tenant)
		network.Router("qrouter-"+tenant, a().As("qr-a").At("10.0.1.1"), b().As("qr-b").At("10.0.2.1"))
		network.Host("qdhcp-"+tenant, a().As("tap").At("10.0.1.2"))
		network.Host("vm1-"+tenant, a().As("eth0").At("10.0.1.11").MAC("fa:16:3e:00:00:11"))
		network.Host("vm2-"+tenant, b().As("eth0").At("10.0.2.11").MAC("fa:16:3e:00:00:22"))
	}
	return network
}

// apart is the whole matrix of both tenants: each has its own, and nothing of the other's.
const apart = `
	              qrouter-red  qdhcp-red  vm1-red  vm2-red  qrouter-blue  qdhcp-blue  vm1-blue  vm2-blue
	qrouter-red   .            ok         ok       ok       nopath        nopath      nopath    nopath
	qdhcp-red     ok           .          ok       ok       nopath        nopath      nopath    nopath
	vm1-red       ok           ok         .        ok       nopath        nopath      nopath    nopath
	vm2-red       ok           ok         ok       .        nopath        nopath      nopath    nopath
	qrouter-blue  nopath       nopath     nopath   nopath   .             ok          ok        ok
	qdhcp-blue    nopath       nopath     nopath   nopath   ok            .           ok        ok
	vm1-blue      nopath       nopath     nopath   nopath   ok            ok          .         ok
	vm2-blue      nopath       nopath     nopath   nopath   ok            ok          ok        .
`

var _ = Describe("two tenants with the same addresses on one machine", func() {
	DescribeTable("have a matrix of their own each", func(ctx SpecContext, plugs agent, needs ...harness.Feature) {
		harness.Require(GinkgoTB(), needs...)
		lab := harness.Up(GinkgoTB(), cloud(plugs))
		red, blue := lab.Node("vm1-red"), lab.Node("vm2-blue")
		Expect(hears(red.Addr(), red, lab.Node("vm2-red"), 5000, patience)).To(BeTrue(), "the control")
		Expect(hears(red.Addr(), red, blue, 5000, stays)).To(BeFalse())
		Expect(probes.WatchSurvey(ctx, lab, probes.ICMP())).To(probes.MatchMatrix(apart))
		Expect(red).To(probes.BeIsolatedFrom(blue, probes.ICMP(), probes.TCP(22)).Because(evidence.NoPath).WithContext(ctx))
	},
		Entry("around br-int", openvswitch("priority=4,arp,actions=NORMAL", "priority=3,actions=resubmit(,60)", "table=60,priority=3,actions=NORMAL"), harness.OVS),
		Entry("around Linux bridges", agent(linuxbridge)),
	)

	It("are cut off from their own by a wrong VLAN tag, and meet the other's", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.OVS)
		lab := harness.Up(GinkgoTB(), cloud(openvswitch()))
		router, vm, other := lab.Node("qrouter-red"), lab.Node("vm1-red"), lab.Node("qdhcp-blue")
		Expect(vm).To(probes.Reach(router.On("red-a"), probes.ICMP()).WithContext(ctx))
		Expect(vm.Port("eth0").SetVLANs(3)).To(Succeed())
		Expect(hears(router.Addr(), router, vm, 5000, stays)).To(BeFalse())
		Expect(router).To(probes.BeIsolatedFrom(vm, probes.ICMP()).Because(evidence.PortVLAN).
			By("the VLAN filter of switch br-int: port qrouter-red is in VLAN 1, port vm1-red is in VLAN 3").WithContext(ctx))
		Expect(hears(netip.MustParseAddr("10.0.1.11"), vm, other, 5000, patience)).To(BeTrue(), "it is in the other tenant's network")
		Expect(vm).NotTo(probes.BeIsolatedFrom(other, probes.ICMP()).WithContext(ctx))

		By("mending the tag, as the control")
		Expect(vm.Port("eth0").SetVLANs(1)).To(Succeed())
		Expect(router).To(probes.Reach(vm, probes.ICMP()).WithContext(ctx))
	})

	It("are joined by a flow that hands on by itself", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.OVS)
		lab := harness.Up(GinkgoTB(), cloud(openvswitch()))
		vm, other := lab.Node("vm1-red"), lab.Node("vm2-blue")
		Expect(vm).To(probes.BeIsolatedFrom(other, probes.UDP(53)).Because(evidence.NoPath).WithContext(ctx))
		_, err := lab.OVS("br-int").Ofctl("add-flow", "priority=100,udp,nw_dst=10.0.2.11,actions=mod_dl_dst:fa:16:3e:00:00:22,output:vm2-blue")
		Expect(err).NotTo(HaveOccurred())
		Expect(hears(vm.Addr(), vm, other, 5000, patience)).To(BeTrue())
		ok, err := probes.BeIsolatedFrom(other, probes.UDP(53)).WithContext(ctx).Match(vm)
		Expect(ok).To(BeFalse())
		Expect(err).To(MatchError(ContainSubstring("nobody has port 53: no policy isolates here")))
	})
})
