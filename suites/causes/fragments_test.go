package causes_test

import (
	"os"
	"strconv"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// inFragments are the office's probes that are sent in three fragments. Of these small is answered in one
// packet: a kernel makes few large echo replies at once, for all of a machine's namespaces.
var (
	small       = dns.Size(4000).Fragmented()
	inFragments = []probes.Probe{icmp.Size(3000).Fragmented(), small}
)

// fragmentsAt is how many fragments a node's kernel has got for itself, by its own count: the judge.
func fragmentsAt(node *harness.Node) (n int) {
	GinkgoHelper()
	n = kernelCounts(node)["Ip.ReasmReqds"]
	var text []byte
	Expect(node.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp6")
		return err
	})).To(Succeed())
	for _, line := range strings.Split(string(text), "\n") {
		if name, value, _ := strings.Cut(line, " "); name == "Ip6ReasmReqds" {
			six, err := strconv.Atoi(strings.TrimSpace(value))
			Expect(err).NotTo(HaveOccurred())
			n += six
		}
	}
	return n
}

// forwarding is a chain of fw's with a rule, and a comment that it is known by.
func forwarding(rules string) string {
	return `table inet parts { chain c { type filter hook forward priority 0; ` + rules + `; }; }`
}

// later are rules for all fragments but the first of a packet.
const later = `ip frag-off & 0x1fff != 0 counter drop comment "no later ones"; frag frag-off != 0 counter drop comment "no later ones"`

var _ = Describe("a request in fragments", func() {
	DescribeTable("is followed as the packet that they are of, where all pass", func(ctx SpecContext, rules string) {
		o := up()
		if rules != "" {
			o = ruled(atFw, rules)
		}
		o.reaches(ctx, all...)
		before := fragmentsAt(o.server)
		o.reaches(ctx, small)
		for _, r := range watch(ctx, o.client, o.server, patient(small)...) {
			Expect(r.Packets).To(ContainElement(And(HaveField("Role", evidence.Request), HaveField("Fate", evidence.Delivered), HaveField("Node", "server"), HaveField("Seen", true))), "%s", r.Timeline)
		}
		Expect(fragmentsAt(o.server)).To(BeNumerically(">=", before+12), "the judge: three came by each of two families, twice")
	},
		Entry("a router without rules", ""),
		Entry("rules that see each by itself", forwarding(`udp dport 99 drop`)),
		Entry("connection tracking, which puts them together", forwarding(`ct state invalid drop`)),
		Entry("translation", `table inet n { chain c { type nat hook postrouting priority 100; oifname "dmz" masquerade; }; }`),
	)

	It("is followed where a router makes smaller ones of them, over IPv4", func(ctx SpecContext) {
		o := warm(ctx)
		grow := shrink("dmz", o.fw, o.server)
		defer grow()
		Expect(o.client).To(probes.Reach(server4, patient(small)...).WithContext(ctx))
		results := watch(ctx, o.client, server4, patient(small)...)
		Expect(results).To(HaveEach(HaveField("Packets", ContainElement(And(HaveField("Role", evidence.Request), HaveField("Fragment", false), HaveField("Node", "server"))))))
		Expect(results[0].Timeline.String()).To(ContainSubstring("from byte 1256 on"), "the judge: the link takes 1280")
	})

	DescribeTable("is isolated where a policy ends all of them", func(ctx SpecContext, at func(office) *harness.Node, rules string) {
		o := warm(ctx)
		node := at(o)
		Expect(node.Nft(rules)).To(Succeed())
		judge, before := echo(ctx, o.server, anywhere(5353)), fragmentsAt(o.server)
		asked := append([]probes.Probe{probes.UDP(5353).Size(4000).Fragmented()}, inFragments...)
		isolated(ctx, o.client, o.server, node.Name(), evidence.Drop, "all of them", asked...)
		Expect(countedBy(node)).To(BeNumerically(">", 0), "the judge: the rule's own count")
		Expect(judge.came()).To(BeZero(), "the judge: a plain socket")
		if node != o.server {
			Expect(fragmentsAt(o.server)).To(Equal(before), "the judge: no fragment came")
		}
	},
		Entry("each by its protocol", atFw, forwarding(`meta l4proto { icmp, icmpv6, udp } counter drop comment "all of them"`)),
		Entry("each by where it comes from", atFw, forwarding(`iifname "lan" counter drop comment "all of them"`)),
		Entry("put together by connection tracking", atFw, forwarding(`ct state new counter drop comment "all of them"`)),
		Entry("put together at the target, or over IPv6 not yet", atServer, `table inet parts { chain c { type filter hook input priority 0;
			meta l4proto { udp, icmp } counter drop comment "all of them"; icmpv6 type != { nd-neighbor-solicit, nd-neighbor-advert } counter drop comment "all of them";
			frag frag-off != 0 counter drop comment "all of them"; }; }`),
	)

	DescribeTable("is not isolated where one of them arrives, and what stops another is named", func(ctx SpecContext, rules, by string) {
		o := warm(ctx)
		Expect(o.fw.Nft(forwarding(rules))).To(Succeed())
		before := fragmentsAt(o.server)
		for _, p := range inFragments {
			for _, r := range watch(ctx, o.client, o.server, p.Within(silence)) {
				Expect(r).To(And(HaveField("Outcome", probes.Silent), HaveField("Cause.Node", "fw"), HaveField("Cause.Kind", evidence.Drop), HaveField("Cause.Rule.Comment", by)), "%s", r.Timeline)
				noVerdict(probes.BeIsolatedFrom(o.server), r, "but another fragment of it came in at server")
			}
		}
		Expect(countedBy(o.fw)).To(BeNumerically(">", 0), "the judge: the rule's own count")
		Expect(fragmentsAt(o.server)).To(BeNumerically(">=", before+4), "the judge: one or two came of each")
		noVerdict(probes.BeIsolatedFrom(o.server, inFragments[1].Within(silence)).WithContext(ctx), o.client, "but another fragment of it came in at server")
		Expect(cellOf(ctx, o.client, o.server, true, inFragments[1].Within(silence))).To(Equal("leak:drop@fw"), "a matrix says no more than a check")

		By("letting them by, as the control")
		lift(o.fw)
		o.reaches(ctx, small)
	},
		Entry("a rule about later ones", later, "no later ones"),
		Entry("a rule about ports, which only the first has",
			`udp dport 53 counter drop comment "no first one"; icmp type echo-request counter drop comment "no first one"; icmpv6 type echo-request counter drop comment "no first one"`, "no first one"),
	)

	It("is not isolated where a link takes the last of them, and the others are too large for it", func(ctx SpecContext) {
		o := warm(ctx)
		grow := shrink("dmz", o.server)
		before := fragmentsAt(o.server)
		for _, r := range watch(ctx, o.client, server4, small.Within(silence)) {
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.MTU), HaveField("Node", "server"))), "%s", r.Timeline)
			noVerdict(probes.BeIsolatedFrom(server4).Because(evidence.MTU), r, "but another fragment of it came in at "+server4.String())
		}
		Expect(fragmentsAt(o.server)).To(BeNumerically(">", before), "the judge: the last one came")
		grow()
		o.reaches(ctx, small)
	})

	It("is not isolated by the target's rules about ports over IPv6, which see the first alone", func(ctx SpecContext) {
		o := warm(ctx)
		Expect(o.server.Nft(`table inet parts { chain c { type filter hook input priority 0; udp dport 53 counter drop comment "no first one"; }; }`)).To(Succeed())
		before := fragmentsAt(o.server)
		for _, r := range watch(ctx, o.client, server6, small.Within(silence)) {
			Expect(r).To(And(HaveField("Cause.Node", "server"), HaveField("Cause.Rule.Comment", "no first one")), "%s", r.Timeline)
			noVerdict(probes.BeIsolatedFrom(server6), r, "but another fragment of it came in at "+server6.String())
		}
		Expect(fragmentsAt(o.server)).To(BeNumerically(">", before), "the judge: the later ones were let in")
		isolated(ctx, o.client, server4, "server", evidence.Drop, "no first one", small)
	})
})
