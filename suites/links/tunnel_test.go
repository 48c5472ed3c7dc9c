package links_test

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// tunnel is a kind of segment between two nodes, over another segment.
type tunnel struct {
	name    string
	needs   []harness.Feature
	over    func(n *topo.Network, core *topo.Segment, prefixes ...string) *topo.Segment
	under   string
	four    bool // it carries IPv4, and six IPv6
	six     bool
	refused string // what a rule matches that keeps it from the underlay
}

const (
	under4 = "192.0.2.0/24"
	under6 = "fd00:9::/64"
)

func geneve(n *topo.Network, core *topo.Segment, prefixes ...string) *topo.Segment {
	return n.Geneve("red", core, 42, prefixes...)
}

func gre(n *topo.Network, core *topo.Segment, prefixes ...string) *topo.Segment {
	return n.GRE("red", core, 0, prefixes...)
}

func keyed(n *topo.Network, core *topo.Segment, prefixes ...string) *topo.Segment {
	return n.GRE("red", core, 42, prefixes...)
}

func ipip(n *topo.Network, core *topo.Segment, prefixes ...string) *topo.Segment {
	return n.IPIP("red", core, prefixes...)
}

func sit(n *topo.Network, core *topo.Segment, prefixes ...string) *topo.Segment {
	return n.SIT("red", core, prefixes...)
}

var tunnels = []tunnel{
	{"Geneve", []harness.Feature{harness.Geneve}, geneve, under4, true, true, "udp dport 6081"},
	{"Geneve over IPv6", []harness.Feature{harness.Geneve}, geneve, under6, true, true, "udp dport 6081"},
	{"GRE", []harness.Feature{harness.GRE}, gre, under4, true, true, "ip protocol gre"},
	{"GRE with a key", []harness.Feature{harness.GRE}, keyed, under4, true, true, "ip protocol gre"},
	{"GRE over IPv6", []harness.Feature{harness.IP6GRE}, keyed, under6, true, true, "ip6 nexthdr gre"},
	{"IPIP", []harness.Feature{harness.IPIP}, ipip, under4, true, false, "ip protocol 4"},
	{"SIT", []harness.Feature{harness.SIT}, sit, under4, false, true, "ip protocol 41"},
}

// prefixes are those of what a tunnel carries.
func (t tunnel) prefixes(four, six string) (prefixes []string) {
	if t.four {
		prefixes = append(prefixes, four)
	}
	if t.six {
		prefixes = append(prefixes, six)
	}
	return prefixes
}

// site is a host with a tunnel to a firewall, behind which is a server. A third one is on the
// underlay alone.
//
//	client ==== red over core ==== fw --dmz-- server
func (t tunnel) site() *topo.Network {
	network := topo.New("site")
	core := network.Switch("core", t.under)
	red := t.over(network, core, t.prefixes("10.0.1.0/24", "fd00:1::/64")...)
	dmz := network.Wire("dmz", t.prefixes("10.0.2.0/24", "fd00:2::/64")...)
	network.Host("client", core, red)
	network.Host("server", dmz)
	network.Router("fw", core, red, dmz)
	return network
}

// eachTunnel are entries of every kind.
func eachTunnel() (entries []TableEntry) {
	for _, t := range tunnels {
		entries = append(entries, Entry(t.name, t))
	}
	return entries
}

// require is a spec's first line.
func (t tunnel) require() {
	GinkgoHelper()
	harness.Require(GinkgoTB(), append([]harness.Feature{harness.NftTool}, t.needs...)...)
}

var _ = Describe("a tunnel between two nodes", func() {
	DescribeTable("passes and closes", func(ctx SpecContext, t tunnel) {
		t.require()
		lab := up(t.site())
		client, fw, server := lab.Node("client"), lab.Node("fw"), lab.Node("server")
		passes(client, fw, fw.On("red").Addrs()...)
		passes(client, server, server.Addrs()...)
		passes(server, client, client.On("red").Addrs()...)
		probes.Serve(GinkgoTB(), fw, probes.TCP(80), probes.UDP(53))
		probes.Serve(GinkgoTB(), server, probes.TCP(80), probes.UDP(53))
		reaches(ctx, client, fw.On("red"))
		reaches(ctx, client, server)

		By("closing fw")
		closed(fw)
		Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server, probes.ICMP(), probes.TCP(80))).At("fw").By("closed").WithContext(ctx))
	}, eachTunnel())

	DescribeTable("passes its first packet, each time", func(t tunnel) {
		t.require()
		for range 5 {
			lab := harness.Up(GinkgoTB(), t.site())
			server := lab.Node("server")
			passes(lab.Node("client"), server, server.Addrs()...)
			lab.Down()
		}
	}, eachTunnel())
})

// remade makes a node's end of a tunnel again, which another goes by.
func remade(node *harness.Node, change func(link netlink.Link)) {
	GinkgoHelper()
	handle := node.Netlink()
	link, err := handle.LinkByName("red")
	Expect(err).NotTo(HaveOccurred())
	Expect(handle.LinkDel(link)).To(Succeed())
	a := link.Attrs()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = a.Name, a.MTU
	*a = attrs
	change(link)
	Expect(handle.LinkAdd(link)).To(Succeed())
	Expect(handle.LinkSetUp(link)).To(Succeed())
	for _, prefix := range node.Port("red").Addrs() {
		addr, err := netlink.ParseAddr(prefix.String())
		Expect(err).NotTo(HaveOccurred())
		Expect(handle.AddrAdd(link, addr)).To(Succeed())
	}
}

// renumbered has another number, or leads elsewhere.
func renumbered(link netlink.Link) {
	GinkgoHelper()
	elsewhere := net.IPv4(192, 0, 2, 99).To4()
	switch link := link.(type) {
	case *netlink.Geneve:
		link.ID = 43
	case *netlink.Gretun:
		link.IKey, link.OKey, link.IFlags, link.OFlags = 43, 43, 0x2000, 0x2000
	case *netlink.Iptun:
		link.Remote = elsewhere
	case *netlink.Sittun:
		link.Remote = elsewhere
	default:
		Fail(fmt.Sprintf("what is %T?", link))
	}
}

// received is what an interface has got.
func received(node *harness.Node, name string) uint64 {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(name)
	Expect(err).NotTo(HaveOccurred())
	return link.Attrs().Statistics.RxPackets
}

// losesCarrier wants what carries a datagram from client to an address of fw's in the tunnel to be dropped at a node by the rule
// "no tunnel", and named, and the two not to be isolated by that.
func losesCarrier(ctx SpecContext, client, fw *harness.Node, addr netip.Addr, at string) *evidence.Cause {
	GinkgoHelper()
	came := received(fw, "red")
	result, err := probes.Watch(ctx, client, addr, probes.UDP(53))
	Expect(err).NotTo(HaveOccurred())
	Expect(result.Cause.Kind).To(BeElementOf(evidence.Tunnel, evidence.Neighbour), result.String())
	Expect(result.Cause.Carrier).NotTo(BeNil(), result.Cause.String())
	end := result.Cause.Carrier.End
	Expect(end).NotTo(BeNil(), result.Cause.String())
	Expect(end.Node).To(Equal(at))
	Expect(end.Is("no tunnel")).To(BeTrue(), end.String())
	Expect(result.Cause.String()).To(ContainSubstring(end.String()))
	Expect(received(fw, "red")).To(Equal(came), "the judge: the other end's own count")

	isolated, err := probes.BeIsolatedFrom(addr, probes.UDP(53)).WithContext(ctx).Match(client)
	Expect(err).To(MatchError(ContainSubstring("not shown to be isolated")))
	Expect(isolated).To(BeFalse())
	return result.Cause
}

var _ = Describe("a tunnel that does not carry", func() {
	DescribeTable("is named where its two ends do not fit", func(ctx SpecContext, t tunnel) {
		t.require()
		lab := harness.Up(GinkgoTB(), t.site())
		client, fw := lab.Node("client"), lab.Node("fw")
		remade(fw, renumbered)
		for _, addr := range fw.On("red").Addrs() {
			result, err := probes.Watch(ctx, client, addr, probes.UDP(53))
			Expect(err).NotTo(HaveOccurred())
			Expect(result.Cause.Kind).To(Equal(evidence.Tunnel), result.String())
			Expect(result.Cause.String()).To(ContainSubstring("client/red: the other end, red of fw, "))
		}
		Expect(received(fw, "red")).To(BeZero(), "the judge: the other end's own count")
	}, eachTunnel())

	DescribeTable("is named where a rule drops what carries it", func(ctx SpecContext, t tunnel) {
		t.require()
		lab := harness.Up(GinkgoTB(), t.site())
		client, fw := lab.Node("client"), lab.Node("fw")
		addr := fw.On("red").Addrs()[0]
		Expect(client).To(probes.Reach(addr, probes.ICMP()).WithContext(ctx))
		Expect(fw.Nft(`table inet f { chain input { type filter hook input priority 0; ` + t.refused + ` drop comment "no tunnel"; }; }`)).To(Succeed())
		cause := losesCarrier(ctx, client, fw, addr, "fw")
		Expect(cause.String()).To(Or(ContainSubstring("what carries it was lost below"), ContainSubstring("what carries it may have been lost below")))
	}, eachTunnel())
})

var _ = Describe("a mesh of GRE", func() {
	var lab *harness.Lab

	BeforeEach(func() {
		harness.Require(GinkgoTB(), harness.NftTool, harness.GRE)
		lab = up(overlaid(under4, func(n *topo.Network, core *topo.Segment) *topo.Segment { return n.GRE("red", core, 7, prefixes...) }))
	})

	It("passes and closes", func(ctx SpecContext) { works(ctx, lab, "red") })

	It("takes in another while it is up", func(ctx SpecContext) {
		Expect(lab.Change(func(n *topo.Network) { n.Host("late", n.Segment("core"), n.Segment("red")) })).To(Succeed())
		late, client := lab.Node("late"), lab.Node("client")
		passes(late, client, client.On("red").Addrs()...)
		passes(client, late, late.On("red").Addrs()...)
		twin, err := lab.Twin()
		Expect(err).NotTo(HaveOccurred())
		twin.Down()
		Expect(late.Port("red").Down()).To(Succeed())
		Expect(late.Port("red").Up()).To(Succeed())
		passes(late, client, client.On("red").Addrs()...)
	})
})
