package links_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// vpn is a segment of WireGuard over another.
func vpn(n *topo.Network, core *topo.Segment) *topo.Segment {
	return n.WireGuard("vpn", core, prefixes...)
}

// frameErrors is the kernel's own count of a node's interface: the sixth of what came in there.
func frameErrors(node *harness.Node, link string) (count int) {
	GinkgoHelper()
	const frames = 5
	Expect(node.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(string(text), link+":")
		count, err = strconv.Atoi(strings.Fields(rest)[frames])
		return err
	})).To(Succeed())
	return count
}

// fallen is a test that has failed.
type fallen struct {
	harness.TB
	after []func()
	said  string
	wrong []string
}

func (f *fallen) Failed() bool      { return true }
func (f *fallen) Cleanup(do func()) { f.after = append(f.after, do) }
func (f *fallen) Errorf(format string, args ...any) {
	f.wrong = append(f.wrong, fmt.Sprintf(format, args...))
}
func (f *fallen) Logf(format string, args ...any) { f.said += fmt.Sprintf(format+"\n", args...) }

// peersOf are those that the kernel has at a node's interface.
func peersOf(node *harness.Node, link string) []inspect.WireGuardPeer {
	GinkgoHelper()
	ns := inspect.Namespace{Handle: node.Netlink(), Do: node.Do}
	links, err := ns.Links()
	Expect(err).NotTo(HaveOccurred())
	all, err := ns.WireGuards(links)
	Expect(err).NotTo(HaveOccurred())
	for _, l := range links {
		for _, w := range all {
			if l.Name == link && w.Index == l.Index {
				return w.Peers
			}
		}
	}
	Fail("node " + node.Name() + " has no WireGuard " + link)
	return nil
}

var _ = Describe("a segment of WireGuard", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.NftTool, harness.WireGuard) })

	It("carries what its peers allow", func(ctx SpecContext) {
		lab := up(overlaid("192.0.2.0/24", vpn))
		Expect(lab.Node("client").Port("vpn").Addrs()).To(HaveLen(2))
		works(ctx, lab, "vpn")
	})

	It("is carried by IPv6", func(ctx SpecContext) {
		works(ctx, up(overlaid("fd00:9::/64", vpn)), "vpn")
	})

	It("passes the first packet of all", func() {
		for i := range 50 { // by both families, and both ways
			network := topo.New("first" + strconv.Itoa(i))
			core := network.Switch("core", "192.0.2.0/24")
			network.Host("a", core, vpn(network, core))
			network.Host("b", core, network.Segment("vpn"))
			lab := harness.Up(GinkgoTB(), network)
			a, b := lab.Node("a"), lab.Node("b")
			passes(a, b, b.On("vpn").Addrs()...)
			passes(b, a, a.On("vpn").Addrs()...)
			lab.Down()
		}
	})

	It("follows a change of the network", func() {
		lab := up(overlaid("192.0.2.0/24", vpn))
		client, other := lab.Node("client"), lab.Node("other")
		passes(client, other, other.On("vpn").Addrs()...)
		before := peersOf(client, "vpn")
		Expect(before).To(HaveLen(2))

		Expect(lab.Change(func(n *topo.Network) { n.Host("more", n.Segment("core"), n.Segment("vpn")) })).To(Succeed())
		more := lab.Node("more")
		passes(more, client, client.On("vpn").Addrs()...)
		passes(other, more, more.On("vpn").Addrs()...)
		Expect(peersOf(client, "vpn")).To(HaveLen(3))

		Expect(lab.Change(func(n *topo.Network) { n.Remove(n.Node("more")) })).To(Succeed())
		after := peersOf(client, "vpn")
		Expect(after).To(HaveLen(2))
		for _, peer := range after { // those that stay were not touched
			if !peer.Handshake.IsZero() {
				Expect(before).To(ContainElement(HaveField("Handshake", peer.Handshake)))
			}
		}
		twin, err := lab.Twin()
		Expect(err).NotTo(HaveOccurred())
		twin.Down()
	})
})

var _ = Describe("what WireGuard keeps", func() {
	var lab *harness.Lab
	var client, other *harness.Node

	BeforeEach(func() {
		harness.Require(GinkgoTB(), harness.NftTool, harness.WireGuard)
		lab = up(overlaid("192.0.2.0/24", vpn))
		client, other = lab.Node("client"), lab.Node("other")
	})

	// named asks, and says what the cause is.
	named := func(ctx context.Context, to netip.Addr, probe probes.Probe) *evidence.Cause {
		GinkgoHelper()
		result, err := probes.Watch(ctx, client, to, probe)
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Cause).NotTo(BeNil(), result.String())
		return result.Cause
	}
	isNoPolicy := func(ctx context.Context, to probes.Target, probe probes.Probe) {
		GinkgoHelper()
		isolated, err := probes.BeIsolatedFrom(to, probe).WithContext(ctx).Match(client)
		Expect(err).To(MatchError(ContainSubstring("not shown to be isolated")))
		Expect(isolated).To(BeFalse())
	}

	It("is told of where no peer is allowed the address", func(ctx SpecContext) {
		Expect(client.AddRoute(topo.Route{To: "10.9.0.0/16", Via: "10.0.1.2"})).To(Succeed())
		Expect(other.AddAddr("lo", netip.MustParsePrefix("10.9.0.1/32"))).To(Succeed())
		to := netip.MustParseAddr("10.9.0.1")
		for _, probe := range []probes.Probe{probes.ICMP(), probes.UDP(53)} {
			cause := named(ctx, to, probe)
			Expect(cause.Kind).To(Equal(evidence.NotAllowed), cause.String())
			Expect(cause.String()).To(Equal("the request was not taken at client/vpn: no peer of vpn is allowed 10.9.0.1"))
		}
		isNoPolicy(ctx, to, probes.ICMP())

		conn, err := client.Dial(ctx, "udp", netip.AddrPortFrom(to, 53))
		Expect(err).NotTo(HaveOccurred())
		defer conn.Close()
		_, err = conn.Write([]byte("plainly"))
		Expect(err).To(MatchError(unix.ENOKEY), "the judge: the kernel refuses a plain socket's datagram")
	})

	It("is told of where a peer may not send from the address", func(ctx SpecContext) {
		Expect(client.AddAddr("lo", netip.MustParsePrefix("10.7.7.7/32"))).To(Succeed())
		to := other.On("vpn").Addrs()[0]
		Expect(client).To(probes.Reach(other.On("vpn"), probes.ICMP()).WithContext(ctx))
		before := frameErrors(other, "vpn")
		cause := named(ctx, to, probes.ICMP().From(netip.MustParseAddr("10.7.7.7")))
		Expect(cause.Kind).To(Equal(evidence.NotAllowed), cause.String())
		Expect(cause.String()).To(ContainSubstring("the request was not taken at other/vpn: peer client is not allowed to send from 10.7.7.7; vpn has counted"))
		Expect(frameErrors(other, "vpn")).To(BeNumerically(">", before), "the judge: the kernel's own count")
	})

	It("is told of where the peer does not answer", func(ctx SpecContext) {
		Expect(other.Nft(`table inet filter { chain input { type filter hook input priority 0; udp dport 51820 counter drop comment "no wireguard"; }; }`)).To(Succeed())
		Expect(client.Nft(`table inet filter { chain input { type filter hook input priority 0; udp sport 51820 drop; }; }`)).To(Succeed())
		cause := named(ctx, other.On("vpn").Addrs()[0], probes.ICMP())
		Expect(cause.Kind).To(Equal(evidence.NoHandshake), cause.String())
		Expect(cause.String()).To(ContainSubstring("the request was not sent on at client/vpn: no handshake with other at 192.0.2.2:51820"))
		Expect(cause.Carrier.End).NotTo(BeNil(), cause.String())
		Expect(cause.Carrier.End.Is("no wireguard")).To(BeTrue(), cause.String())
		isNoPolicy(ctx, other.On("vpn"), probes.ICMP())
		for _, peer := range peersOf(other, "vpn") {
			Expect(peer.Handshake).To(BeZero(), "the judge: the other end has had none")
		}
	})

	It("is told of where the other end is down", func(ctx SpecContext) {
		Expect(other.Port("vpn").Down()).To(Succeed())
		to := other.On("vpn").Addrs()[0]
		cause := named(ctx, to, probes.ICMP())
		Expect(cause.Word()).To(Equal("linkdown@other"), cause.String())
		Expect(other.Port("vpn").Up()).To(Succeed())
		Expect(client).To(probes.Reach(other.On("vpn"), probes.ICMP()).WithContext(ctx))
	})

	It("is in the bundle, but for what is secret", func() {
		t := &fallen{TB: GinkgoTB()}
		lab := harness.Up(t, overlaid("192.0.2.0/24", vpn))
		passes(lab.Node("client"), lab.Node("other"), lab.Node("other").On("vpn").Addrs()...)
		for _, do := range slices.Backward(t.after) {
			do()
		}
		_, dir, _ := strings.Cut(t.said, "had failed: ")
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(dir), "nodes", "client.txt"))
		Expect(err).NotTo(HaveOccurred(), t.said)
		plan, _ := lab.Plan().Node("client")
		own, _ := plan.Device("vpn")
		Expect(string(text)).To(ContainSubstring("vpn: public key " + own.WireGuard.Key.Public().String() + ", port 51820"))
		Expect(string(text)).To(ContainSubstring("peer " + own.WireGuard.Peers[0].Key.String()))
		Expect(string(text)).To(MatchRegexp(`endpoint 192\.0\.2\.2:51820; latest handshake \d+s ago; received \d+ bytes, sent \d+ bytes`))
		Expect(string(text)).NotTo(ContainSubstring(own.WireGuard.Key.String()))
	})
})
