package causes_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// trackingCount is what a node's kernel says of connection tracking, of all processors: the judge.
func trackingCount(node *harness.Node, name string) (n uint64) {
	GinkgoHelper()
	var text []byte
	Expect(node.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/stat/nf_conntrack")
		return err
	})).To(Succeed())
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i, column := range strings.Fields(lines[0]) {
		for _, line := range lines[1:] {
			if column == name {
				one, err := strconv.ParseUint(strings.Fields(line)[i], 16, 64)
				Expect(err).NotTo(HaveOccurred())
				n += one
			}
		}
	}
	return n
}

var _ = Describe("connection tracking", func() {
	It("that gives two the same source is named: the second clashes with the first", func(ctx SpecContext) {
		o := ruled(atFw, `table ip n { chain c { type nat hook postrouting priority 100; oifname "dmz" meta l4proto udp counter snat to 10.0.2.2:5000; }; }`)
		judge := echo(ctx, o.server, anywhere(7))
		first := dial(ctx, o.client, "udp", server4, 53)
		Expect(ask(first)).To(Equal("server"), "who came first has the source")
		before := trackingCount(o.fw, "insert_failed")
		for _, r := range watch(ctx, o.client, server4, dns.Within(silence)) {
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.Conntrack), HaveField("Node", "fw"), HaveField("Policy", false))), "%s", causeOf(r))
			Expect(r).To(probes.BeIsolatedFrom(server4).At("fw").Because(evidence.Conntrack))
			noVerdict(probes.BeIsolatedFrom(server4), r, "no policy isolates here", `Because("conntrack")`)
			Expect(r.Cause.Detail).To(Equal("connection tracking cannot take it: another connection has the same addresses and ports (insert_failed)"))
		}
		Expect(trackingCount(o.fw, "insert_failed")).To(BeNumerically(">", before), "the judge: the kernel's own count")
		Expect(o.client).To(probes.Reach(server4, patient(probes.UDP(7))...).WithContext(ctx), "one to another port has it for itself")
		Expect(judge.came()).To(BeNumerically(">", 0))

		By("leaving sources as they are, as the control") // the kernel goes on to translate, and does not stop amid a probe
		Expect(o.fw.Nft("flush chain ip n c")).To(Succeed())
		o.reaches(ctx, all...)
	})

	DescribeTable("that does not know an answer leaves it where the request got its source", func(ctx SpecContext, rules string) {
		o := ruled(atFw, `table ip n { chain c { type nat hook postrouting priority 100; oifname "dmz" masquerade; }; `+rules+` }`)
		judge := echo(ctx, o.server, anywhere(7))
		for _, r := range broken(ctx, o.client, server4, "fw", evidence.Untranslated, icmp, web, dns, probes.UDP(7)) {
			Expect(r.Outcome).To(Equal(probes.Silent))
			Expect(r.Cause.Leg).To(Equal(evidence.Answer))
			Expect(r.Cause.Detail).To(HavePrefix("10.0.2.2 stands for 10.0.1.1 there, and it was not known as the answer"))
		}
		Expect(judge.came()).To(BeNumerically(">", 0), "the judge: what was sent was read, and answered")
		Expect(countedBy(o.fw)).To(BeNumerically(">", 0), "the judge: the rule has seen the answer")

		By("tracking both ways alike, as the control")
		Expect(o.fw.Nft("flush chain ip n a")).To(Succeed())
		o.reaches(ctx, all...)
	},
		Entry("since it is not tracked", `chain a { type filter hook prerouting priority -300; iifname "dmz" counter notrack; };`),
		Entry("since it is in another zone", `chain a { type filter hook prerouting priority -300; iifname "dmz" counter ct zone set 1; };`),
	)

	It("that does not know a request leaves it untranslated, where nobody has the port", func(ctx SpecContext) {
		o := ruled(atFw, `table ip n {
			chain a { type filter hook prerouting priority -300; ip daddr 10.0.1.2 meta l4proto { tcp, udp } counter notrack; };
			chain c { type nat hook prerouting priority -100; ip daddr 10.0.1.2 dnat to 10.0.2.1; }; }`)
		results := broken(ctx, o.client, gateways[0], "fw", evidence.NoListener, web, dns)
		Expect(results).To(HaveEach(HaveField("Outcome", probes.Refused)))
		Expect(countedBy(o.fw)).To(BeNumerically(">", 0), "the judge: the rule has seen the request")

		By("tracking it, as the control")
		Expect(o.fw.Nft("flush chain ip n a")).To(Succeed())
		Expect(o.client).To(probes.Reach(gateways[0], patient(web, dns)...).AnsweredBy("server").WithContext(ctx))
	})

	DescribeTable("that translates to a loopback address is no way in, as long as the kernel takes none from outside", func(ctx SpecContext, p probes.Probe) {
		o := ruled(atFw, `table ip n { chain c { type nat hook prerouting priority -100; ip daddr 10.0.1.2 counter dnat to 127.0.0.1; }; }`)
		probes.Serve(GinkgoTB(), o.fw, web, dns)
		for _, r := range broken(ctx, o.client, gateways[0], "fw", evidence.Martian, p) {
			Expect(r.Outcome).To(Equal(probes.Silent))
			Expect(r.Cause.Detail).To(Equal("127.0.0.1 is a loopback address, to which nobody may send from outside (route_localnet=0)"))
		}
		Expect(countedBy(o.fw)).To(BeNumerically(">", 0), "the judge: it was translated")

		By("taking it, as the control")
		Expect(o.fw.SetSysctl("net.ipv4.conf.lan.route_localnet", "1")).To(Succeed())
		Expect(o.client).To(probes.Reach(gateways[0], patient(p)...).WithContext(ctx), fmt.Sprint(p))
	},
		Entry("ICMP", icmp), Entry("TCP", web), Entry("UDP", dns),
	)
})
