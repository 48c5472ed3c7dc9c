package causes_test

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// packetsOf is the judge: what the kernel has counted in a counter of table inet judge, or of
// another.
func packetsOf(node *harness.Node, family, name string) int {
	GinkgoHelper()
	out, err := node.Command("nft", "list", "counter", family, "judge", name).Output()
	Expect(err).NotTo(HaveOccurred())
	found := regexp.MustCompile(`packets (\d+)`).FindSubmatch(out)
	Expect(found).NotTo(BeNil(), "%s", out)
	n, err := strconv.Atoi(string(found[1]))
	Expect(err).NotTo(HaveOccurred())
	return n
}

// judged counts at a node what is forwarded, by what it is.
func judged(nodes ...*harness.Node) {
	GinkgoHelper()
	for _, node := range nodes {
		Expect(node.Nft(`table inet judge {
			counter pings { }
			counter web { }
			counter names { }
			chain forward { type filter hook forward priority -300;
				icmp type echo-request counter name "pings"
				icmpv6 type echo-request counter name "pings"
				tcp dport 80 tcp flags & (syn | ack) == syn counter name "web"
				udp dport 53 counter name "names"
			}
		}`)).To(Succeed())
	}
}

// counterOf is the judge's counter for a probe.
func counterOf(p probes.Probe) string {
	return map[string]string{icmp.String(): "pings", web.String(): "web", dns.String(): "names"}[p.String()]
}

// wayOf are the nodes of a request's way, or of an answer's, in order.
func wayOf(r probes.Result, role evidence.Role) (nodes []string) {
	GinkgoHelper()
	ways := r.Hops().Ways(role)
	Expect(ways).To(HaveLen(1), "%s", r.Hops())
	for _, hop := range ways[0] {
		nodes = append(nodes, hop.Node)
	}
	return nodes
}

// hopAt is the hop of a role at a node.
func hopAt(r probes.Result, role evidence.Role, node string) evidence.Hop {
	GinkgoHelper()
	for _, hop := range r.Hops() {
		if hop.Role == role && hop.Node == node {
			return hop
		}
	}
	Fail(fmt.Sprintf("no %s at %s:\n%s", role, node, r.Hops()))
	return evidence.Hop{}
}

// did says that a hop has a rule, by any of its names, with effects.
func did(hop evidence.Hop, name string, effects ...evidence.Effect) {
	GinkgoHelper()
	for _, p := range hop.Rules {
		if p.Rule.Is(name) {
			Expect(p.Effects).To(ConsistOf(effects), "%s", p)
			return
		}
	}
	Fail(fmt.Sprintf("no rule %q: %s", name, hop))
}

var _ = Describe("the hops of a probe", func() {
	It("have the rules that let it pass, each with what it did", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := up()
		judged(o.fw)
		Expect(o.fw.Nft(`table inet filter {
			chain early { type filter hook prerouting priority -150;
				iifname "lan" counter meta mark set 0x7 comment "from the lan"
				iifname "nowhere" accept
			}
			chain services { tcp dport 80 accept comment "web in"; }
			chain forward { type filter hook forward priority 0; policy drop;
				ct state established,related accept comment "known"
				iifname "lan" jump services
				meta l4proto { icmp, icmpv6, udp } accept comment "the rest"
				tcp dport 22 accept comment "no business of a probe's"
			}
		}`)).To(Succeed())
		for _, p := range all {
			before := packetsOf(o.fw, "inet", counterOf(p))
			results := watch(ctx, o.client, o.server, p.Within(soon))
			Expect(packetsOf(o.fw, "inet", counterOf(p))-before).To(BeNumerically(">=", len(results)), "a watch may ask once more")
			for _, r := range results {
				Expect(r).To(HaveField("Outcome", probes.Answered))
				Expect(wayOf(r, evidence.Request)).To(Equal([]string{"client", "fw", "server"}))
				Expect(wayOf(r, evidence.Answer)).To(Equal([]string{"server", "fw", "client"}))
				there, back := hopAt(r, evidence.Request, "fw"), hopAt(r, evidence.Answer, "fw")
				Expect(there).To(And(HaveField("In", "lan"), HaveField("Out", "dmz"), HaveField("Mark", uint32(7)), HaveField("Untold", "")))
				did(there, "from the lan", evidence.Counts, evidence.Marks)
				did(there, `iifname "lan" jump services`, evidence.Leads)
				if counterOf(p) == "web" {
					did(there, "web in", evidence.Accepts)
					did(there, "known", evidence.Accepts) // what was sent over the connection
				} else {
					did(there, "the rest", evidence.Accepts)
				}
				did(back, "known", evidence.Accepts)
				for _, hop := range []evidence.Hop{there, back} {
					Expect(hop.String()).NotTo(Or(ContainSubstring("nowhere"), ContainSubstring("no business")))
					Expect(hop.Translated()).To(BeFalse(), "%s", hop)
				}
				Expect(there.Route).To(HaveValue(HaveField("To", BeElementOf(dmz4, dmz6))))
				Expect(hopAt(r, evidence.Request, "client").Route).To(HaveValue(HaveField("Via", BeElementOf(gateways))))
				Expect(strings.Count(r.Hops().String(), "\n")).To(Equal(6), "a line each")
			}
		}
	})

	It("name the rule that a table of the same name has now no more than one that is gone", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := up()
		Expect(o.fw.Nft(`table inet filter { chain forward { type filter hook forward priority 0; udp dport 53 accept comment "names"; }; }`)).To(Succeed())
		results := watch(ctx, o.client, server4, dns.Within(soon))
		Expect(results).To(HaveLen(1))
		Expect(o.fw.Nft(`flush ruleset
			table inet filter { chain forward { type filter hook forward priority 0; udp dport 53 accept comment "others"; }; }`)).To(Succeed())
		hop := hopAt(results[0], evidence.Request, "fw")
		Expect(hop.Rules).To(HaveLen(1), "%s", hop)
		Expect(hop.Rules[0].Rule).To(HaveValue(And(HaveField("Comment", ""), HaveField("Words()", ""), HaveField("Place()", "inet filter forward"))))
		Expect(hop.Rules[0].Has(evidence.Accepts)).To(BeTrue())
	})

	DescribeTable("have the rules of iptables-legacy in their own words", func(ctx SpecContext, program string, v6 bool) {
		harness.Require(GinkgoTB(), harness.Tool(program))
		o := up()
		to := server4
		if v6 {
			to = server6
		}
		o.iptables(program, "-t", "mangle", "-A", "PREROUTING", "-i", "lan", "-j", "MARK", "--set-mark", "7")
		o.iptables(program, "-A", "FORWARD", "-p", "udp", "--dport", "53", "-m", "comment", "--comment", "names", "-j", "ACCEPT")
		o.iptables(program, "-A", "FORWARD", "-p", "tcp", "--dport", "22", "-j", "ACCEPT")
		for _, p := range []probes.Probe{web, dns} {
			for _, r := range watch(ctx, o.client, to, p.Within(soon)) {
				there := hopAt(r, evidence.Request, "fw")
				Expect(there.Untold).To(BeEmpty())
				did(there, "-i lan -j MARK --set-xmark 0x7/0xffffffff", evidence.Marks)
				if counterOf(p) == "names" {
					did(there, "names", evidence.Accepts)
				} else {
					did(there, "policy "+program+" filter FORWARD", evidence.Accepts)
				}
				Expect(there.String()).NotTo(ContainSubstring("22"))
			}
		}
		out, err := o.fw.Command(program, "-nvxL", "FORWARD").Output()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(out)).To(MatchRegexp(`(?m)^ *[1-9]\d* +\d+ ACCEPT .*names`), "the kernel's counter")
		Expect(string(out)).To(MatchRegexp(`(?m)^ *0 +0 ACCEPT .*22`), "the kernel's counter")
	},
		Entry("for IPv4", "iptables-legacy", false),
		Entry("for IPv6", "ip6tables-legacy", true),
	)

	It("are those of the packet that arrived, and not of one that was lost before", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := up()
		judged(o.fw)
		Expect(o.fw.Nft(`table inet filter {
			set seen { type inet_service; flags dynamic; }
			chain forward { type filter hook forward priority 0; policy accept;
				tcp dport 80 tcp flags & (syn | ack) == syn tcp sport != @seen add @seen { tcp sport } drop comment "the first is lost"
				tcp dport 80 accept comment "the second passes"
			}
		}`)).To(Succeed())
		fd := inNode(o.fw, unix.AF_PACKET, unix.SOCK_RAW, unix.ETH_P_ALL<<8, func(int) error { return nil }) // in the network's order
		DeferCleanup(func() { Expect(unix.Close(fd)).To(Succeed()) })
		By("having a program at fw that might send it on, so that a drop does not end the probe")
		results := watch(ctx, o.client, server4, web.Within(soon))
		Expect(results).To(HaveLen(1))
		Expect(results[0].Outcome).To(Equal(probes.Answered))
		Expect(packetsOf(o.fw, "inet", "web")).To(BeNumerically(">=", 2), "a retransmission")
		hop := hopAt(results[0], evidence.Request, "fw")
		did(hop, "the second passes", evidence.Accepts)
		Expect(hop.String()).NotTo(ContainSubstring("the first is lost"))
		Expect(results[0]).To(probes.Reach(server4, web.Within(soon)).Through("fw"))
	})

	DescribeTable("go round where a packet does", func(ctx SpecContext, legacy bool) {
		harness.Require(GinkgoTB(), harness.NftTool)
		network := topo.New("round")
		lan, inner := network.Wire("lan", lan4.String(), lan6.String()), network.Wire("inner", dmz4.String(), dmz6.String())
		network.Host("client", lan)
		network.Router("fw", lan, inner)
		network.Router("core", inner)
		lab := harness.Up(GinkgoTB(), network)
		client, fw, core := lab.Node("client"), lab.Node("fw"), lab.Node("core")
		for node, via := range map[*harness.Node][2]string{fw: {"10.0.2.2", "fd00:2::2"}, core: {"10.0.2.1", "fd00:2::1"}} {
			for i, to := range []string{"10.9.0.0/16", "fd09::/64"} {
				addRoute(node, to, via[i])
			}
		}
		judged(fw, core)
		const ttl = 9
		rules := 0
		if legacy {
			harness.Require(GinkgoTB(), harness.Tool("iptables-legacy"), harness.Tool("ip6tables-legacy"))
			rules = ttl / 2
			for _, program := range []string{"iptables-legacy", "ip6tables-legacy"} {
				office{fw: core}.iptables(program, "-A", "FORWARD", "-j", "ACCEPT")
			}
		}
		for _, to := range []string{"10.9.0.1", "fd09::1"} {
			before := packetsOf(fw, "inet", "pings") + packetsOf(core, "inet", "pings")
			for _, r := range watch(ctx, client, netip.MustParseAddr(to), icmp.TTL(ttl).Within(silence)) {
				told := 0
				for _, hop := range r.Hops() {
					for _, p := range hop.Rules {
						if strings.HasSuffix(p.Rule.Family, "-legacy") {
							Expect(p.Packets).To(Equal(1), "%s", r.Hops())
							told++
						}
					}
				}
				Expect(told).To(BeNumerically("~", rules, 1), "%s", r.Hops())
				nodes := wayOf(r, evidence.Request)
				Expect(nodes).To(HaveLen(ttl+1), "%s", r.Hops())
				Expect(strings.Join(nodes, " ")).To(HavePrefix("client fw core fw core fw"))
				Expect(packetsOf(fw, "inet", "pings") + packetsOf(core, "inet", "pings") - before).To(BeNumerically(">=", ttl-2))
			}
		}
	},
		Entry("by rules of nftables", false), Entry("and by those of iptables-legacy", true),
	)
})

// addRoute gives a node a route.
func addRoute(node *harness.Node, to, via string) {
	GinkgoHelper()
	_, dst, err := net.ParseCIDR(to)
	Expect(err).NotTo(HaveOccurred())
	Expect(node.Netlink().RouteAdd(&netlink.Route{Dst: dst, Gw: net.ParseIP(via)})).To(Succeed())
}
