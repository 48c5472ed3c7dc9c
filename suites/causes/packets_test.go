package causes_test

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// large are probes of more than 1,280 bytes and less than 1,500.
var large = []probes.Probe{probes.ICMP().Size(1400), probes.UDP(53).Size(1400)}

// shrink gives links a smaller MTU.
func shrink(name string, nodes ...*harness.Node) (grow func()) {
	GinkgoHelper()
	set := func(bytes int) {
		GinkgoHelper()
		for _, node := range nodes {
			Expect(node.Netlink().LinkSetMTU(link(node, name), bytes)).To(Succeed())
		}
	}
	set(1280)
	return func() {
		GinkgoHelper()
		set(1500)
	}
}

var _ = Describe("a packet", func() {
	It("that is too large for fw is named, and fw says so", func(ctx SpecContext) {
		o := up()
		grow := shrink("dmz", o.fw, o.server)
		results := broken(ctx, o.client, o.server, "fw", evidence.MTU, large...)
		Expect(results).To(HaveEach(And(
			HaveField("Outcome", probes.Rejected), HaveField("By", "fw"), HaveField("ICMP.Info", 1280), HaveField("Cause.Interface", "dmz"))))

		By("asking with smaller ones, and then with a larger MTU, as the control")
		o.reaches(ctx, all...)
		grow()
		o.reaches(ctx, large...)
	})

	It("that is too large for the other end of a link is named, though nobody says so", func(ctx SpecContext) {
		o := up()
		grow := shrink("dmz", o.server)
		results := broken(ctx, o.client, o.server, "server", evidence.MTU, large...)
		Expect(results).To(HaveEach(And(
			HaveField("Outcome", probes.Silent), HaveField("Cause.Interface", "dmz"), HaveField("Cause.Leg", evidence.Request))))

		By("asking with smaller ones, and then with a larger MTU, as the control")
		o.reaches(ctx, all...)
		grow()
		o.reaches(ctx, large...)
	})

	It("that is too large for its sender is named", func(ctx SpecContext) {
		o := up()
		grow := shrink("lan", o.client)
		results := broken(ctx, o.client, o.server, "client", evidence.MTU, large...)
		Expect(results).To(HaveEach(And(HaveField("Outcome", probes.Unsent), HaveField("Errno", unix.EMSGSIZE))))

		By("asking with smaller ones, and then with a larger MTU, as the control")
		o.reaches(ctx, all...)
		grow()
		o.reaches(ctx, large...)
	})

	It("whose time to live is over is named", func(ctx SpecContext) {
		o := up()
		live := func(hops string) {
			Expect(o.client.SetSysctl("net.ipv4.ip_default_ttl", hops)).To(Succeed())
			Expect(o.client.SetSysctl("net.ipv6.conf.lan.hop_limit", hops)).To(Succeed())
		}
		live("1")
		results := broken(ctx, o.client, o.server, "fw", evidence.TTL, all...)
		Expect(results).To(HaveEach(And(HaveField("Outcome", probes.Rejected), HaveField("By", "fw"))))
		for _, addr := range gateways {
			Expect(o.client).To(probes.Reach(addr, patient(icmp)...).WithContext(ctx), "fw itself is one hop away")
		}

		By("letting it live longer, as the control")
		live("64")
		o.reaches(ctx, all...)
	})

	It("whose answer's time to live is over is named", func(ctx SpecContext) {
		o := up()
		live := func(hops string) {
			Expect(o.server.SetSysctl("net.ipv4.ip_default_ttl", hops)).To(Succeed())
			Expect(o.server.SetSysctl("net.ipv6.conf.dmz.hop_limit", hops)).To(Succeed())
		}
		live("1")
		Expect(broken(ctx, o.client, o.server, "fw", evidence.TTL, all...)).To(onItsWay(evidence.Answer))

		By("letting it live longer, as the control")
		live("64")
		o.reaches(ctx, all...)
	})

	DescribeTable("whose time to live a rule has lowered is named, with the node", func(ctx SpecContext, rules, at, words string, to netip.Addr) {
		harness.Require(GinkgoTB(), harness.NftTool, harness.IPv6)
		network := topo.New("hops")
		lan, mid, wan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), network.Switch("mid", "10.0.5.0/24", "fd00:5::/64"), network.Switch("wan", "10.0.9.0/24", "fd00:9::/64")
		network.Host("client", lan)
		network.Host("site", wan)
		network.Router("first", lan, mid)
		network.Router("second", mid, wan)
		lab := harness.Up(GinkgoTB(), network)
		client := lab.Node("client")
		load := lab.Node("first").Nft
		if strings.HasPrefix(rules, "*") {
			load = func(text string) error { return lab.Node("first").Iptables(text) }
		}
		Expect(load(rules)).To(Succeed())
		counted := func() string {
			out, err := lab.Node(at).Command("cat", "/proc/net/snmp", "/proc/net/snmp6").Output()
			Expect(err).NotTo(HaveOccurred())
			return string(out)
		}
		before := errorsOfHeaders(counted())
		results := broken(ctx, client, to, at, evidence.TTL, probes.UDP(53))
		Expect(results).To(HaveEach(HaveField("Cause.Detail", words)))
		Expect(errorsOfHeaders(counted())).To(BeNumerically(">", before), "the kernel's own count")
		Expect(client).To(probes.Reach(to, icmp).WithContext(ctx), "the control: no rule lowers it")
	},
		Entry("as it comes in", "table ip m { chain c { type filter hook prerouting priority -150; udp dport 53 ip ttl set 1; }; }",
			"first", "TTL expired: it came in with 64, which a rule there lowered", netip.MustParseAddr("10.0.9.1")),
		Entry("over IPv6", "table ip6 m { chain c { type filter hook prerouting priority -150; udp dport 53 ip6 hoplimit set 1; }; }",
			"first", "TTL expired: it came in with 64, which a rule there lowered", netip.MustParseAddr("fd00:9::1")),
		Entry("at a device", "table netdev m { chain c { type filter hook ingress device lan priority 0; udp dport 53 ip ttl set 1; }; }",
			"first", "TTL expired: it came in with 64, which a rule there lowered", netip.MustParseAddr("10.0.9.1")),
		Entry("for the next router", "table ip m { chain c { type filter hook forward priority -150; udp dport 53 ip ttl set 1; }; }",
			"second", "TTL expired: first had it with 64, and sent it on with 1", netip.MustParseAddr("10.0.9.1")),
		Entry("for the next router, over IPv6", "table ip6 m { chain c { type filter hook postrouting priority -150; udp dport 53 ip6 hoplimit set 1; }; }",
			"second", "TTL expired: first had it with 64, and sent it on with 1", netip.MustParseAddr("fd00:9::1")),
		Entry("by iptables, to nothing", "*mangle\n-A FORWARD -p udp --dport 53 -j TTL --ttl-dec 63\nCOMMIT\n",
			"second", "TTL expired: first had it with 64, and sent it on with 0", netip.MustParseAddr("10.0.9.1")),
	)
})

// errorsOfHeaders are the packets that a kernel dropped by their headers, their TTL too.
func errorsOfHeaders(counters string) (n int) {
	names := []string{}
	for line := range strings.Lines(counters) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 2 && fields[0] == "Ip6InHdrErrors":
			one, err := strconv.Atoi(fields[1])
			Expect(err).NotTo(HaveOccurred())
			n += one
		case fields[0] == "Ip:" && len(names) == 0:
			names = fields
		case fields[0] == "Ip:":
			one, err := strconv.Atoi(fields[slices.Index(names, "InHdrErrors")])
			Expect(err).NotTo(HaveOccurred())
			n += one
		}
	}
	return n
}
