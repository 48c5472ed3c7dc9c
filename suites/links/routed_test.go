package links_test

import (
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const (
	far4 = "198.51.100.0/24"
	far6 = "fd00:8::/64"
)

// over6 says whether it is carried by IPv6.
func (t tunnel) over6() bool { return strings.Contains(t.under, ":") }

// carriesOwn says whether it carries the family that it is carried by.
func (t tunnel) carriesOwn() bool { return t.over6() && t.six || !t.over6() && t.four }

// anyTunnel is any of them.
func anyTunnel(tunnel) bool { return true }

// routed are the kinds of tunnel whose ends may have routers between them.
func routed(some func(tunnel) bool) (entries []TableEntry) {
	vxlan := func(n *topo.Network, core *topo.Segment, prefixes ...string) *topo.Segment {
		return n.VXLAN("red", core, 42, prefixes...)
	}
	wireguard := func(n *topo.Network, core *topo.Segment, prefixes ...string) *topo.Segment {
		return n.WireGuard("red", core, prefixes...)
	}
	for _, t := range append([]tunnel{
		{"VXLAN", []harness.Feature{harness.VXLAN}, vxlan, under4, true, true, "udp dport 4789"},
		{"VXLAN over IPv6", []harness.Feature{harness.VXLAN}, vxlan, under6, true, true, "udp dport 4789"},
		{"WireGuard", []harness.Feature{harness.WireGuard}, wireguard, under4, true, true, "udp dport 51820"},
		{"WireGuard over IPv6", []harness.Feature{harness.WireGuard}, wireguard, under6, true, true, "udp dport 51820"},
	}, tunnels...) {
		if some(t) {
			entries = append(entries, Entry(t.name, t))
		}
	}
	return entries
}

// pastRouter is a site whose client is elsewhere. All that it sends goes by the tunnel.
//
//	client --home-- internet --office-- fw --dmz-- server
//	      \===== red: over home, over office ====/
func (t tunnel) pastRouter() *topo.Network {
	network := topo.New("site")
	home, far := network.Switch("home", t.under).MTU(1480), far4
	if t.over6() {
		far = far6
	}
	office := network.Switch("office", far)
	red := t.over(network, office, t.prefixes("10.0.1.0/24", "fd00:1::/64")...)
	dmz := network.Wire("dmz", t.prefixes("10.0.2.0/24", "fd00:2::/64")...)
	network.Router("internet", home, office)
	network.Router("fw", office, red, dmz)
	network.Host("server", dmz)
	client := network.Host("client", home, red.Over(home)).NoRoutes()
	for _, via := range t.prefixes("10.0.1.1", "fd00:1::1") {
		client.Route(topo.Route{Via: via})
	}
	return network
}

// fragments are those that a node's kernel has had to put together.
func fragments(node *harness.Node) (count int) {
	GinkgoHelper()
	Expect(node.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp6")
		if err != nil {
			return err
		}
		_, six, _ := strings.Cut(string(text), "Ip6ReasmReqds")
		if text, err = os.ReadFile("/proc/thread-self/net/snmp"); err != nil {
			return err
		}
		lines := strings.Split(string(text), "\n")
		at := slices.Index(strings.Fields(lines[0]), "ReasmReqds")
		for _, figure := range []string{strings.Fields(six)[0], strings.Fields(lines[1])[at]} {
			one, err := strconv.Atoi(figure)
			if err != nil {
				return err
			}
			count += one
		}
		return nil
	})).To(Succeed())
	return count
}

var _ = Describe("a tunnel that passes a router", func() {
	DescribeTable("passes and closes", func(ctx SpecContext, t tunnel) {
		t.require()
		lab := up(t.pastRouter())
		client, fw, server := lab.Node("client"), lab.Node("fw"), lab.Node("server")
		passes(client, server, server.Addrs()...)
		passes(server, client, client.On("red").Addrs()...)
		probes.Serve(GinkgoTB(), server, probes.TCP(80), probes.UDP(53))
		reaches(ctx, client, server)

		By("closing fw")
		closed(fw)
		Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server, probes.ICMP(), probes.TCP(80))).At("fw").By("closed").WithContext(ctx))
	}, routed(anyTunnel))

	DescribeTable("passes its first packet, each time", func(t tunnel) {
		t.require()
		for range 5 {
			lab := harness.Up(GinkgoTB(), t.pastRouter())
			client, server := lab.Node("client"), lab.Node("server")
			passes(client, server, server.Addrs()...)
			passes(server, client, client.On("red").Addrs()...)
			lab.Down()
		}
	}, routed(anyTunnel))

	DescribeTable("carries packets as large as its MTU says", func(ctx SpecContext, t tunnel) {
		t.require()
		lab := harness.Up(GinkgoTB(), t.pastRouter())
		client, fw := lab.Node("client"), lab.Node("fw")
		plan, _ := lab.Plan().Segment("red")
		theirs := client.On("red").Addrs()
		for i, addr := range fw.On("red").Addrs() {
			headers := 20 + 8 // IPv4 and ICMP
			if addr.Is6() {
				headers = 40 + 8
			}
			Expect(client).To(probes.Reach(addr, probes.ICMP().Size(plan.MTU-headers)).WithContext(ctx))
			Expect(fw).To(probes.Reach(theirs[i], probes.ICMP().Size(plan.MTU-headers)).WithContext(ctx))
		}
		Expect(fragments(client)+fragments(fw)).To(BeZero(), "the judge: the kernels' own count of fragments")
	}, routed(anyTunnel))

	DescribeTable("leaves nothing beside it when it is down, by a kill switch", func(ctx SpecContext, t tunnel) {
		t.require()
		lab := up(t.pastRouter())
		client, server := lab.Node("client"), lab.Node("server")
		around := lab.Node("internet").On("home").Addrs()[0]
		Expect(client.AddRoute(topo.Route{Via: around.String(), Metric: 4096})).To(Succeed()) // behind the kernel's own of IPv6, 1024
		Expect(client.Nft(`table inet f { chain output { type filter hook output priority 0;
			oifname home ` + t.refused + ` accept; oifname home icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
			oifname home drop comment "kill switch"; }; }`)).To(Succeed())
		at := slices.IndexFunc(server.Addrs(), func(addr netip.Addr) bool { return addr.Is6() == around.Is6() })
		Expect(client).To(probes.Reach(server.Addrs()[at], probes.ICMP()).Through("fw").WithContext(ctx))

		Expect(client.Port("red").Down()).To(Succeed())
		Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server.Addrs()[at], probes.ICMP(), probes.TCP(80))).At("client").By("kill switch").WithContext(ctx))
	}, routed(tunnel.carriesOwn))

	DescribeTable("is named where the router drops what carries it", func(ctx SpecContext, t tunnel) {
		t.require()
		lab := harness.Up(GinkgoTB(), t.pastRouter())
		client, fw, internet := lab.Node("client"), lab.Node("fw"), lab.Node("internet")
		addr := fw.On("red").Addrs()[0]
		Expect(client).To(probes.Reach(addr, probes.ICMP()).WithContext(ctx))
		Expect(internet.Nft(`table inet f { chain forward { type filter hook forward priority 0; ` + t.refused + ` drop comment "no tunnel"; }; }`)).To(Succeed())
		losesCarrier(ctx, client, fw, addr, "internet")
	}, routed(anyTunnel))
})

var _ = Describe("a network of a tunnel that passes a router", func() {
	It("takes in another end while it is up, and gives it up", func() {
		harness.Require(GinkgoTB(), harness.NftTool, harness.VXLAN)
		lab := up(tunnel{over: func(n *topo.Network, core *topo.Segment, prefixes ...string) *topo.Segment {
			return n.VXLAN("red", core, 42, prefixes...)
		}, under: under4, four: true, six: true}.pastRouter())
		client, fw := lab.Node("client"), lab.Node("fw")
		Expect(lab.Change(func(n *topo.Network) {
			n.Host("late", n.Segment("home"), n.Segment("red").Over(n.Segment("home")))
		})).To(Succeed())
		late := lab.Node("late")
		passes(late, fw, fw.On("red").Addrs()...)
		passes(client, late, late.On("red").Addrs()...)
		twin, err := lab.Twin()
		Expect(err).NotTo(HaveOccurred())
		twin.Down()

		Expect(lab.Change(func(n *topo.Network) { n.Remove(n.Node("late")) })).To(Succeed())
		passes(client, fw, fw.On("red").Addrs()...)
		Expect(lab.Change(func(n *topo.Network) { n.Remove(n.Node("internet")) })).To(MatchError(ContainSubstring("no routers lead from segment office to 192.0.2.")))
		passes(client, fw, fw.On("red").Addrs()...)
	})
})
