package overlap_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// soon is when a responder has long had its turn, however busy the machine.
const soon = 25 * time.Second

var (
	web = probes.TCP(80).Within(soon)
	dns = probes.UDP(53).Within(soon)
)

const tenantCount = 10

// The addresses of every tenant's gateway, seen from the client, and server.
var (
	gateways = addrs("10.0.0.2", "fd00::2")
	servers  = addrs("10.0.1.1", "fd00:1::1")
)

func tenant(i int, part string) string { return fmt.Sprintf("tenant-%d/%s", i, part) }

// tenants have a client, a gateway and a server each, with the same addresses,
// routes and MACs as every other's.
func tenants() *topo.Network {
	network := topo.New("tenants")
	for i := range tenantCount {
		lan := network.Wire(tenant(i, "lan"), "10.0.0.0/24", "fd00::/64")
		dmz := network.Wire(tenant(i, "dmz"), "10.0.1.0/24", "fd00:1::/64")
		network.Host(tenant(i, "client"), lan.MAC("02:00:00:00:00:01"))
		network.Host(tenant(i, "server"), dmz.MAC("02:00:00:00:00:02"))
		network.Router(tenant(i, "gw"), lan.MAC("02:00:00:00:00:03"), dmz.MAC("02:00:00:00:00:04"))
	}
	return network
}

var _ = Describe("ten tenants with the same addresses, routes and MACs", func() {
	var lab *harness.Lab

	node := func(i int, role string) *harness.Node { return lab.Node(tenant(i, role)) }

	// othersReach asks for all tenants but one.
	othersReach := func(ctx SpecContext, but int, p probes.Probe) {
		GinkgoHelper()
		for i := range tenantCount {
			for _, addr := range servers {
				if i != but {
					Expect(ask(ctx, node(i, "client"), addr, p)).To(provenBy(tenant(i, "server")))
				}
			}
		}
	}

	BeforeEach(func() {
		lab = harness.Up(GinkgoTB(), tenants())
		for i := range tenantCount {
			probes.Serve(GinkgoTB(), node(i, "server"), web, dns)
			probes.Serve(GinkgoTB(), node(i, "gw"), web)
		}
	})

	It("have the same plan", func() {
		for _, role := range []string{"client", "gw", "server"} {
			first, _ := lab.Plan().Node(tenant(0, role))
			for i := range tenantCount {
				plan, _ := lab.Plan().Node(tenant(i, role))
				Expect(plan.Routes).To(HaveLen(len(first.Routes)))
				for j, port := range plan.Ports {
					Expect(port.Addrs).To(Equal(first.Ports[j].Addrs))
					Expect(port.MAC).To(Equal(first.Ports[j].MAC))
				}
			}
		}
		for _, addr := range servers {
			Expect(lab.Plan().Owners(addr)).To(HaveLen(tenantCount))
		}
	})

	It("reach their own neighbours each, which prove that they answered", func(ctx SpecContext) {
		for i := range tenantCount {
			for _, addr := range gateways {
				Expect(ask(ctx, node(i, "client"), addr, web)).To(provenBy(tenant(i, "gw")))
			}
			for _, addr := range servers {
				for _, probe := range []probes.Probe{web, dns} {
					Expect(ask(ctx, node(i, "client"), addr, probe)).To(provenBy(tenant(i, "server")))
				}
			}
			Expect(node(i, "client")).To(probes.Reach(node(i, "server"), web, dns).WithContext(ctx))
		}
	})

	It("are told apart when the wrong one answers", func(ctx SpecContext) {
		// tenant-3's client is asked about tenant-7's server: the address is right,
		// and the one that answers is not.
		_, err := probes.Reach(node(7, "server"), web).WithContext(ctx).Match(node(3, "client"))
		for _, addr := range servers {
			Expect(err).To(MatchError(ContainSubstring("%s was answered by tenant-3/server, not by tenant-7/server", addr)))
		}
	})

	It("do not lose their servers when one of them does", func(ctx SpecContext) {
		Expect(node(4, "gw").Port(tenant(4, "dmz")).Down()).To(Succeed())
		othersReach(ctx, 4, web)
		Expect(node(4, "client")).To(probes.BeIsolatedFrom(node(4, "server"), web).
			At(tenant(4, "gw")).Because(evidence.LinkDown).WithContext(ctx))
		By("bringing it back, as the control")
		Expect(node(4, "gw").Port(tenant(4, "dmz")).Up()).To(Succeed())
		for _, addr := range servers {
			Expect(ask(ctx, node(4, "client"), addr, web)).To(provenBy(tenant(4, "server")))
		}
	})

	It("have rules of their own", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		closed := "table inet closed { chain forward { type filter hook forward priority 0; policy drop; }; }"
		Expect(node(5, "gw").Nft(closed)).To(Succeed())
		othersReach(ctx, 5, dns)
		Expect(node(5, "client")).To(probes.BeIsolatedFrom(node(5, "server"), dns).
			At(tenant(5, "gw")).By("policy inet closed forward").WithContext(ctx))
		By("taking them away, as the control")
		Expect(node(5, "gw").Nft("delete table inet closed")).To(Succeed())
		for _, addr := range servers {
			Expect(ask(ctx, node(5, "client"), addr, dns)).To(provenBy(tenant(5, "server")))
		}
	})
})

func addrs(texts ...string) (list []netip.Addr) {
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

func ask(ctx SpecContext, from *harness.Node, addr netip.Addr, p probes.Probe) probes.Result {
	GinkgoHelper()
	result, err := probes.Ask(ctx, from, addr, p)
	Expect(err).NotTo(HaveOccurred())
	return result
}

// provenBy is an answer that the node itself signed.
func provenBy(name string) OmegaMatcher {
	return And(HaveField("Outcome", probes.Answered), HaveField("By", name), HaveField("Proven", true))
}
