package neutron_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// instance is a machine with port security: the addresses that it may send from.
type instance struct{ name, addr, mac string }

var instances = []instance{{"vm1", "10.0.1.11", "fa:16:3e:00:00:01"}, {"vm2", "10.0.1.12", "fa:16:3e:00:00:02"}}

// open is one whose port security is off.
var open = instance{"vm3", "10.0.1.13", "fa:16:3e:00:00:03"}

// again is later than Linux sends a connection's first packet a second time: after a second.
const again = 1500 * time.Millisecond

var ssh = probes.TCP(22).Within(again)

// The names of what is dropped, by Neutron's own comments and by the flows' cookies.
type names struct{ ingress, spoofed string }

// hybrid is what the iptables hybrid firewall makes: a bridge of each protected machine's own
// (qbr) between it and br-int, at which the machine's rules are; who is unprotected is on br-int.
func hybrid(allowed string) (*topo.Network, names) {
	network := topo.New("hybrid")
	br := network.OVS("br-int", "10.0.1.0/24")
	var ports []topo.Attachment
	var bridges [][2]topo.Interface
	rules := "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
	var bodies []string
	for i, vm := range instances {
		wire := network.Wire("port-" + vm.name)
		tap, qvb := wire.As(fmt.Sprintf("tap%d", i)).NoAddress(), br.As(fmt.Sprintf("qvb%d", i)).NoAddress()
		ports, bridges = append(ports, tap, qvb), append(bridges, [2]topo.Interface{tap, qvb})
		network.Host(vm.name, wire.As("eth0").At(vm.addr).MAC(vm.mac))
		rules += strings.ReplaceAll(":neutron-i# - [0:0]\n:neutron-o# - [0:0]\n:neutron-s# - [0:0]\n", "#", fmt.Sprint(i))
		bodies = append(bodies, strings.NewReplacer("TAP", fmt.Sprintf("tap%d", i), "#", fmt.Sprint(i), "ADDR", vm.addr, "<MAC>", vm.mac).Replace(portRules(allowed)))
	}
	rules += ":neutron-sg-chain - [0:0]\n:neutron-sg-fallback - [0:0]\n" + strings.Join(bodies, "") + `
-A neutron-sg-chain -j ACCEPT
-A neutron-sg-fallback -m comment --comment "Default drop rule for unmatched traffic." -j DROP
COMMIT
`
	compute := network.Host("compute", ports...).Iptables(rules).Sysctl("net.bridge.bridge-nf-call-iptables", "1")
	for i, bridge := range bridges {
		compute.Bridge(fmt.Sprintf("qbr%d", i), bridge[0], bridge[1])
	}
	network.Host(open.name, br.As("eth0").At(open.addr).MAC(open.mac))
	return network, names{"Default drop rule for unmatched traffic.", "Drop traffic without an IP/MAC allow rule."}
}

// portRules are those of one port, as neutron.agent.linux.iptables_firewall writes them.
func portRules(allowed string) string {
	return `
-A FORWARD -m physdev --physdev-out TAP --physdev-is-bridged -j neutron-sg-chain
-A FORWARD -m physdev --physdev-in TAP --physdev-is-bridged -j neutron-sg-chain
-A neutron-sg-chain -m physdev --physdev-out TAP --physdev-is-bridged -j neutron-i#
-A neutron-sg-chain -m physdev --physdev-in TAP --physdev-is-bridged -j neutron-o#
-A neutron-i# -m state --state RELATED,ESTABLISHED -j RETURN
` + strings.ReplaceAll(allowed, "GROUP", "-A neutron-i#") + `
-A neutron-i# -m state --state INVALID -j DROP
-A neutron-i# -j neutron-sg-fallback
-A neutron-s# -s ADDR/32 -m mac --mac-source <MAC> -j RETURN
-A neutron-s# -m comment --comment "Drop traffic without an IP/MAC allow rule." -j DROP
-A neutron-o# -j neutron-s#
-A neutron-o# -p udp -m udp --sport 67 --dport 68 -m comment --comment "Prevent DHCP Spoofing by VM." -j DROP
-A neutron-o# -m state --state RELATED,ESTABLISHED -j RETURN
-A neutron-o# -j RETURN
`
}

// groups are the MACs of broadcasts and groups: what is sent there, NORMAL hands to all ports,
// past the tables of those who are protected.
const groups = "01:00:00:00:00:00/01:00:00:00:00:00"

// flows is what the Open vSwitch firewall makes: all on br-int, by its flows.
func flows(allowed string) (*topo.Network, names) {
	network := topo.New("flows")
	br := network.OVS("br-int", "10.0.1.0/24")
	br.Flow("priority=0,actions=resubmit(,94)", "table=94,priority=0,actions=NORMAL", "cookie=0x94,table=94,priority=1,ip,dl_dst="+groups+",actions=drop", "cookie=0x93,table=93,priority=0,actions=drop", "cookie=0x82,table=82,priority=0,actions=drop")
	for i, vm := range instances {
		network.Host(vm.name, br.As("eth0").At(vm.addr).MAC(vm.mac))
		to := strings.NewReplacer("<PORT>", fmt.Sprintf("%#x", i+1), "PORT", vm.name, "ADDR", vm.addr, "<MAC>", vm.mac)
		for _, flow := range strings.Split(strings.TrimSpace(portFlows+strings.ReplaceAll(allowed, "GROUP", "table=82,priority=77")), "\n") {
			br.Flow(to.Replace(flow))
		}
	}
	network.Host(open.name, br.As("eth0").At(open.addr).MAC(open.mac))
	return network, names{"cookie=0x82", "cookie=0x93"}
}

// portFlows are those of one port, as neutron.agent.linux.openvswitch_firewall adds them.
const portFlows = `
table=0,priority=100,in_port=PORT,actions=load:<PORT>->NXM_NX_REG5[],load:0x1->NXM_NX_REG6[],resubmit(,71)
table=0,priority=90,dl_dst=<MAC>,actions=load:<PORT>->NXM_NX_REG5[],load:0x1->NXM_NX_REG6[],resubmit(,81)
table=71,priority=95,arp,reg5=<PORT>,in_port=PORT,dl_src=<MAC>,arp_spa=ADDR,actions=resubmit(,94)
table=71,priority=65,ip,reg5=<PORT>,in_port=PORT,dl_src=<MAC>,nw_src=ADDR,actions=ct(table=72,zone=NXM_NX_REG6[0..15])
table=71,priority=10,reg5=<PORT>,in_port=PORT,actions=resubmit(,93)
table=72,priority=70,ip,reg5=<PORT>,ct_state=+trk-inv,actions=resubmit(,73)
table=73,priority=100,reg6=0x1,dl_dst=<MAC>,actions=load:<PORT>->NXM_NX_REG5[],resubmit(,81)
table=73,priority=90,ip,ct_state=+new-est,reg5=<PORT>,actions=ct(commit,zone=NXM_NX_REG6[0..15]),resubmit(,94)
table=73,priority=80,reg5=<PORT>,actions=resubmit(,94)
table=81,priority=100,arp,reg5=<PORT>,actions=output:PORT
table=81,priority=95,ip,ct_state=-trk,reg5=<PORT>,actions=ct(table=82,zone=NXM_NX_REG6[0..15])
table=81,priority=80,ct_state=+trk,reg5=<PORT>,actions=resubmit(,82)
table=82,priority=50,ip,ct_state=+est-rel+rpl,reg5=<PORT>,actions=output:PORT
`

// What a group lets in, in the words of each firewall: the web from everywhere, and pings.
const (
	byIptables = "GROUP -p tcp -m tcp --dport 80 -j RETURN\nGROUP -p icmp -j RETURN"
	byFlows    = "GROUP,tcp,reg5=<PORT>,tcp_dst=80,actions=ct(commit,zone=NXM_NX_REG6[0..15]),output:PORT\nGROUP,icmp,reg5=<PORT>,actions=ct(commit,zone=NXM_NX_REG6[0..15]),output:PORT\n"
)

var _ = DescribeTableSubtree("security groups", func(by func(string) (*topo.Network, names), group string, needs ...harness.Feature) {
	var lab *harness.Lab
	var vm1, vm2, vm3 *harness.Node
	var named names

	up := func(allowed string) {
		GinkgoHelper()
		harness.Require(GinkgoTB(), needs...)
		var network *topo.Network
		network, named = by(allowed)
		lab = harness.Up(GinkgoTB(), network)
		vm1, vm2, vm3 = lab.Node("vm1"), lab.Node("vm2"), lab.Node("vm3")
		for _, vm := range []*harness.Node{vm2, vm3} {
			probes.Serve(GinkgoTB(), vm, probes.TCP(80), probes.TCP(22), probes.UDP(53))
		}
	}

	It("let in what a rule allows, and name what ends the rest", func(ctx SpecContext) {
		up(group)
		Expect(vm1).To(probes.Reach(vm2, probes.TCP(80), probes.ICMP()).WithContext(ctx))
		Expect(connects(vm1, netip.AddrPortFrom(vm2.Addr(), 22), stays)).To(BeFalse())
		Expect(vm1).To(probes.BeIsolatedFrom(vm2.On("eth0"), ssh, probes.UDP(53)).By(named.ingress).WithContext(ctx))
		Expect(vm3).To(probes.BeIsolatedFrom(vm2.On("eth0"), ssh).By(named.ingress).WithContext(ctx))
		Expect(vm2).To(probes.Reach(vm3, probes.TCP(22), probes.UDP(53)).WithContext(ctx))
	})

	It("let in nothing where the rule is missing", func(ctx SpecContext) {
		up("")
		Expect(connects(vm1, netip.AddrPortFrom(vm2.Addr(), 80), stays)).To(BeFalse())
		Expect(vm1).To(probes.BeIsolatedFrom(vm2.On("eth0"), probes.TCP(80).Within(again)).By(named.ingress).WithContext(ctx))
		Expect(vm2).To(probes.Reach(vm3, probes.TCP(80)).WithContext(ctx))
	})

	It("keep a machine from sending with another's address, or MAC, unless port security is off", func(ctx SpecContext) {
		up(group)
		stolen := netip.PrefixFrom(netip.MustParseAddr("10.0.1.99"), 32)
		Expect(vm1.AddAddr("eth0", stolen)).To(Succeed())
		Expect(hears(stolen.Addr(), vm1, vm3, 5000, stays)).To(BeFalse())
		Expect(hears(vm1.Addr(), vm1, vm3, 5000, patience)).To(BeTrue(), "the control")
		Expect(vm1).To(probes.BeIsolatedFrom(vm3.On("eth0"), probes.UDP(5000).From(stolen.Addr())).By(named.spoofed).WithContext(ctx))

		link, err := vm1.Netlink().LinkByName("eth0")
		Expect(err).NotTo(HaveOccurred())
		Expect(vm1.Netlink().LinkSetHardwareAddr(link, net.HardwareAddr{0xfa, 0x16, 0x3e, 0, 0, 0x66})).To(Succeed())
		Expect(vm1).To(probes.BeIsolatedFrom(vm3.On("eth0"), probes.UDP(53)).By(named.spoofed).WithContext(ctx))

		By("asking from the machine whose port security is off")
		Expect(vm3.AddAddr("eth0", stolen)).To(Succeed())
		Expect(vm3).To(probes.Reach(vm2, probes.TCP(80).From(stolen.Addr())).WithContext(ctx))
	})
},
	Entry("by the iptables hybrid firewall", hybrid, byIptables, harness.OVS, harness.IptablesTool),
	Entry("by the flows of the Open vSwitch firewall", flows, byFlows, harness.OVS),
)

var _ = Describe("the Open vSwitch firewall", func() {
	It("lets in what is sent to all, where nothing but NORMAL is for it", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.OVS)
		network, _ := flows(byFlows)
		lab := harness.Up(GinkgoTB(), network)
		vm1, vm2 := lab.Node("vm1"), lab.Node("vm2")
		probes.Serve(GinkgoTB(), vm2, probes.UDP(53))
		Expect(vm1).To(probes.BeIsolatedFrom(vm2.On("br-int"), probes.UDP(53)).By("cookie=0x82").WithContext(ctx))
		_, err := lab.OVS("br-int").Ofctl("del-flows", "cookie=0x94/-1")
		Expect(err).NotTo(HaveOccurred())
		ok, err := probes.BeIsolatedFrom(vm2.On("br-int"), probes.UDP(53)).WithContext(ctx).Match(vm1)
		Expect(ok).To(BeFalse())
		Expect(err).To(MatchError(ContainSubstring("let in what was sent to all on the link, at 10.0.1.255")))
	})
})
