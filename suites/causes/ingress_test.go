package causes_test

import (
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

var _ = Describe("a rule of an interface", func() {
	const closed = `
		tcp dport 80 drop comment "closed"
		udp dport 53 drop comment "closed"
		icmp type echo-request drop comment "closed"
		icmpv6 type echo-request drop comment "closed"`

	DescribeTable("isolates", func(ctx SpecContext, rules, family string, node func(office) *harness.Node, leg evidence.Role) {
		if strings.Contains(rules, "hook egress") {
			harness.Require(GinkgoTB(), harness.Kernel(5, 16))
		}
		o := ruled(node, rules)
		results := isolated(ctx, o.client, o.server, node(o).Name(), evidence.Drop, "closed", all...)
		Expect(results).To(HaveEach(And(HaveField("Cause.Leg", leg), HaveField("Cause.Rule.Family", family))))

		lift(node(o))
		o.reaches(ctx, all...)
	},
		Entry("where packets come in, of family netdev",
			`table netdev filter { chain in { type filter hook ingress device "lan" priority 0;`+closed+`
			}; }`, "netdev", atFw, evidence.Request),
		Entry("where packets come in, of family inet",
			`table inet filter { chain in { type filter hook ingress device "lan" priority 0;`+closed+`
			}; }`, "inet", atFw, evidence.Request),
		Entry("where packets go out",
			`table netdev filter { chain out { type filter hook egress device "dmz" priority 0;`+closed+`
			}; }`, "netdev", atFw, evidence.Request),
		Entry("where the answer comes in",
			`table netdev filter { chain in { type filter hook ingress device "dmz" priority 0;
				tcp sport 80 drop comment "closed"
				udp sport 53 drop comment "closed"
				icmp type echo-reply drop comment "closed"
				icmpv6 type echo-reply drop comment "closed"
			}; }`, "netdev", atFw, evidence.Answer),
	)

	It("isolates where packets go out at the client, which the kernel may call a lack of buffers", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.Kernel(5, 16))
		o := ruled(atClient, `table netdev filter { chain out { type filter hook egress device "lan" priority 0;`+closed+`
		}; }`)
		results := isolated(ctx, o.client, o.server, "client", evidence.Drop, "closed", all...)
		Expect(results).To(ContainElement(HaveField("Errno", unix.ENOBUFS)))

		lift(o.client)
		o.reaches(ctx, all...)
	})

	It("that drops the questions for neighbours leaves them unanswered", func(ctx SpecContext) {
		o := ruled(atFw, `table netdev filter { chain in { type filter hook ingress device "lan" priority 0;
			meta protocol arp drop
			icmpv6 type nd-neighbor-solicit drop
		}; }`)
		results := broken(ctx, o.client, o.server, "fw", evidence.Neighbour, all...)
		Expect(results).To(HaveEach(HaveField("Cause.Discovery", HaveValue(And(HaveField("Node", "client"), HaveField("Interface", "lan"))))))
		Expect(results).To(HaveEach(WithTransform(causeOf, Or(
			HaveSuffix(`the ARP request for it was dropped at fw by rule "meta protocol arp drop" of netdev filter in`),
			HaveSuffix(`the neighbour solicitation for it was dropped at fw by rule "icmpv6 type nd-neighbor-solicit drop" of netdev filter in`)))))

		lift(o.fw)
		forget(o.client, "lan", gateways...)
		o.reaches(ctx, all...)
	})
})
