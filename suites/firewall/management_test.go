package firewall_test

import (
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("management", func() {
	It("is reachable in the default namespace and not through the firewall's", func(ctx SpecContext) {
		o := up("")
		greeting := serveSSH(o.box)
		AddReportEntry("service", greeting)
		for _, addr := range both {
			Expect(greet(o.admin, addr)).To(Equal(greeting))
		}
		Expect(o.desk).To(probes.BeRefusedBy(o.fw, ssh).WithContext(ctx), "the firewall's namespace has nobody at port 22")
		Expect(o.inet).To(probes.BeRefusedBy(o.fw, ssh).WithContext(ctx))
		Expect(ask(ctx, o.desk, o.fw, probes.ICMP())).To(outcome(probes.Answered), "the desk does reach the firewall")

		By("putting a service into the firewall's namespace, as the control")
		probes.Serve(GinkgoTB(), o.fw, ssh)
		for _, addr := range both {
			Expect(ask(ctx, o.desk, addr, ssh)).To(answeredBy("fw"))
			Expect(greet(o.admin, addr)).To(Equal(greeting))
		}
		Expect(ask(ctx, o.inet, o.fw, ssh)).To(answeredBy("fw"))
	})

	It("has the same addresses in both namespaces, and each answers for itself", func(ctx SpecContext) {
		o := up("")
		probes.Serve(GinkgoTB(), o.box, web, dns)
		probes.Serve(GinkgoTB(), o.fw, web, dns)
		for _, addr := range both {
			Expect(o.box.Lab().Plan().Owners(addr)).To(ConsistOf("box", "fw"))
			for _, p := range []probes.Probe{web, dns} {
				Expect(ask(ctx, o.admin, addr, p)).To(answeredBy("box"))
				Expect(ask(ctx, o.desk, addr, p)).To(answeredBy("fw"))
			}
		}
	})
})
