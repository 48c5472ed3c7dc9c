package overlap_test

import (
	"fmt"
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const tenantCount = 10

// Every tenant has a client, a gateway and a server, with the same addresses,
// routes and MACs as every other's.
var _ = Describe("ten tenants with the same addresses, routes and MACs", func() {
	var lab *harness.Lab

	node := func(tenant int, role string) *harness.Node {
		return lab.Node(fmt.Sprintf("tenant-%d/%s", tenant, role))
	}

	BeforeEach(func() {
		network := topo.New("tenants")
		for i := range tenantCount {
			name := func(part string) string { return fmt.Sprintf("tenant-%d/%s", i, part) }
			lan := network.Wire(name("lan"), "10.0.0.0/24", "fd00::/64")
			dmz := network.Wire(name("dmz"), "10.0.1.0/24", "fd00:1::/64")
			network.Host(name("client"), lan.MAC("02:00:00:00:00:01"))
			network.Host(name("server"), dmz.MAC("02:00:00:00:00:02"))
			network.Router(name("gw"), lan.MAC("02:00:00:00:00:03"), dmz.MAC("02:00:00:00:00:04"))
		}
		lab = harness.Up(GinkgoTB(), network)
		for i := range tenantCount {
			probes.Serve(GinkgoTB(), node(i, "server"), probes.TCP(80), probes.UDP(53))
		}
	})

	It("gives each the same plan", func() {
		first, _ := lab.Plan().Node("tenant-0/client")
		for i := range tenantCount {
			plan, _ := lab.Plan().Node(fmt.Sprintf("tenant-%d/client", i))
			Expect(plan.Routes).To(Equal(first.Routes))
			Expect(plan.Ports[0].Addrs).To(Equal(first.Ports[0].Addrs))
			Expect(plan.Ports[0].MAC).To(Equal(first.Ports[0].MAC))
		}
		Expect(lab.Plan().Owners(netip.MustParseAddr("10.0.1.1"))).To(HaveLen(tenantCount))
	})

	It("lets each client reach its own server, which proves that it answered", func(ctx SpecContext) {
		for i := range tenantCount {
			for _, probe := range []probes.Probe{probes.TCP(80), probes.UDP(53)} {
				Expect(node(i, "client")).To(probes.Reach(node(i, "server"), probe).WithContext(ctx))
			}
		}
	})

	It("names the wrong owner when one answers", func(ctx SpecContext) {
		// tenant-3's client is asked about tenant-7's server: the address is right,
		// and the one that answers is not.
		_, err := probes.Reach(node(7, "server"), probes.TCP(80)).WithContext(ctx).Match(node(3, "client"))
		Expect(err).To(MatchError(ContainSubstring("tenant-3/server")))
		Expect(err).To(MatchError(ContainSubstring("tenant-7/server")))
	})

	It("takes one tenant's server away without touching the others'", func(ctx SpecContext) {
		Expect(node(4, "server").Port("tenant-4/dmz").Down()).To(Succeed())
		for i := range tenantCount {
			addr := netip.MustParseAddr("10.0.1.1")
			result, err := probes.Ask(ctx, node(i, "client"), addr, probes.TCP(80).Within(silence))
			Expect(err).NotTo(HaveOccurred())
			if i == 4 {
				Expect(result.Outcome).To(Equal(probes.Silent))
				continue
			}
			Expect(result).To(And(HaveField("Outcome", probes.Answered), HaveField("By", fmt.Sprintf("tenant-%d/server", i))))
		}
	})
})
