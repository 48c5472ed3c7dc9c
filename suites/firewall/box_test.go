package firewall_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var (
	ssh   = probes.TCP(22)
	web   = probes.TCP(80)
	mail  = probes.TCP(25)
	dns   = probes.UDP(53)
	quick = 200 * time.Millisecond // for what nobody is to answer
)

// box is the firewall box. Its management interface is in the default namespace,
// "box"; its service interfaces are in the firewall's, "fw". The management
// network and the lan have the same addresses, on purpose.
type box struct {
	lab                        *harness.Lab
	admin, box, fw, lan, wanPC *harness.Node
}

func up(rules string) box {
	GinkgoHelper()
	network := topo.New("box")
	mgmt := network.Switch("mgmt", "10.0.1.0/24", "fd00:1::/64")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	wan := network.Switch("wan", "198.51.100.0/24", "fd00:2::/64")
	network.Host("box", mgmt.At("10.0.1.1", "fd00:1::1"))
	network.Host("admin", mgmt)
	fw := network.Router("fw", lan.At("10.0.1.1", "fd00:1::1"), wan)
	network.Host("desk", lan)
	network.Host("inet", wan)
	if rules != "" {
		harness.Require(GinkgoTB(), harness.NftTool)
		fw.Nft(rules)
	}
	lab := harness.Up(GinkgoTB(), network)
	return box{lab, lab.Node("admin"), lab.Node("box"), lab.Node("fw"), lab.Node("desk"), lab.Node("inet")}
}

// ask is one address's result; both are families of one target.
func ask(ctx SpecContext, from *harness.Node, to probes.Target, p probes.Probe) []probes.Result {
	GinkgoHelper()
	result, err := probes.Ask(ctx, from, to, p)
	Expect(err).NotTo(HaveOccurred())
	if len(result.Each) > 0 {
		return result.Each
	}
	return []probes.Result{result}
}

func outcome(o probes.Outcome) OmegaMatcher { return HaveEach(HaveField("Outcome", o)) }

func answeredBy(name string) OmegaMatcher {
	return HaveEach(And(HaveField("Outcome", probes.Answered), HaveField("By", name)))
}

var (
	box4 = netip.MustParseAddr("10.0.1.1")
	box6 = netip.MustParseAddr("fd00:1::1")
)

var _ = Describe("management", func() {
	It("is reachable in the default namespace and not through the firewall's", func(ctx SpecContext) {
		b := up("")
		banner := serveSSH(b.box)
		AddReportEntry("service", banner)
		for _, addr := range []netip.Addr{box4, box6} {
			Expect(ask(ctx, b.admin, addr, ssh)).To(outcome(probes.Answered))
			Expect(ask(ctx, b.lan, addr, ssh)).To(outcome(probes.Refused), "the firewall's namespace has nobody at port 22")
		}
		Expect(ask(ctx, b.lan, b.fw, probes.ICMP())).To(outcome(probes.Answered), "the desk does reach the firewall")

		By("putting a service into the firewall's namespace, as the control")
		probes.Serve(GinkgoTB(), b.fw, ssh)
		for _, addr := range []netip.Addr{box4, box6} {
			Expect(ask(ctx, b.lan, addr, ssh)).To(answeredBy("fw"))
		}
	})

	It("has the same addresses in both namespaces, and each answers for itself", func(ctx SpecContext) {
		b := up("")
		probes.Serve(GinkgoTB(), b.box, web, dns)
		probes.Serve(GinkgoTB(), b.fw, web, dns)
		for _, addr := range []netip.Addr{box4, box6} {
			for _, p := range []probes.Probe{web, dns} {
				Expect(ask(ctx, b.admin, addr, p)).To(answeredBy("box"))
				Expect(ask(ctx, b.lan, addr, p)).To(answeredBy("fw"))
			}
		}
	})

})
