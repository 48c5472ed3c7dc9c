package switches_test

import (
	"fmt"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// firewalled is a firewall on a trunk with two VLANs, and hosts that know nothing of them; the
// uplink is a wire of its own.
func firewalled() *harness.Lab {
	GinkgoHelper()
	network := topo.New("office")
	trunk, wan := network.Switch("trunk"), network.Wire("wan", "10.9.0.0/24", "fd00:9::/64")
	staff := network.VLAN("staff", trunk, 100, "10.0.1.0/24", "fd00:1::/64")
	guests := network.VLAN("guests", trunk, 200, "10.0.2.0/24", "fd00:2::/64")
	network.Router("fw", wan, trunk, staff, guests).Nft(`
		table inet filter {
			chain forward {
				type filter hook forward priority 0; policy accept;
				iifname "guests" oifname "staff" ct state new drop comment "guests stay out"
			}
		}`)
	network.Host("pc", trunk.Access(100))
	network.Host("printer", trunk.Access(100))
	network.Host("phone", trunk.Access(200))
	network.Host("web", wan)
	return served(network)
}

var _ = Describe("a trunk", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.VLANFiltering) })

	It("has a router on a stick, and hosts that do not tag", func(ctx SpecContext) {
		lab := firewalled()
		pc, phone, printer, web, fw := lab.Node("pc"), lab.Node("phone"), lab.Node("printer"), lab.Node("web"), lab.Node("fw")
		for _, to := range []*harness.Node{printer, web} {
			passes(pc, to)
			reaches(ctx, pc, to)
		}
		passes(pc, phone)
		passes(phone, web)
		Expect(pc).To(probes.Reach(phone, probes.TCP(80).Within(comes)).WithContext(ctx))
		keeps(phone, pc)
		Expect(phone).To(probes.BeIsolatedFrom(pc, all...).At("fw").By("guests stay out").WithContext(ctx))
		Expect(pc).To(probes.Reach(fw.On("staff"), probes.TCP(80).Within(comes)).WithContext(ctx))
		Expect(pc.On("staff").Addrs()).To(Equal(pc.Addrs()))
		Expect(probes.WatchSurvey(ctx, lab, probes.ICMP().Within(comes))).To(probes.MatchMatrix(`
			         fw  pc       printer  phone    web
			fw       .   ok       ok       ok       ok
			pc       ok  .        ok       ok       ok
			printer  ok  ok       .        ok       ok
			phone    ok  drop@fw  drop@fw  .        ok
			web      ok  ok       ok       ok       .
		`))
	})

	It("loses a host that is put into another VLAN, and gets it back", func(ctx SpecContext) {
		lab := firewalled()
		pc, printer, fw := lab.Node("pc"), lab.Node("printer"), lab.Node("fw")
		passes(pc, printer)
		passes(pc, lab.Node("web"))
		Expect(pc.Port("trunk").SetVLANs(200)).To(Succeed())
		keeps(pc, printer)
		apart(ctx, pc, printer, "pc", evidence.PortVLAN, probes.UDP(53))
		Expect(fw).To(probes.BeIsolatedFrom(pc, briefly(probes.ICMP(), probes.UDP(53))...).At("pc").
			By("the VLAN filter of switch trunk: port fw carries VLAN 100 with a tag, port pc is in VLAN 200").WithContext(ctx))
		Expect(fw).To(probes.MustMatter(probes.BeIsolatedFrom(pc, briefly(probes.TCP(80))...)).Because(evidence.PortVLAN).WithContext(ctx))
		same(lab)

		By("putting it back, as the control")
		Expect(pc.Port("trunk").SetVLANs(100)).To(Succeed())
		passes(pc, printer)
		passes(lab.Node("web"), pc)
		reaches(ctx, pc, lab.Node("web"))
		same(lab)
	})

	It("does not carry what it was not told to", func(ctx SpecContext) {
		network := topo.New("wrong")
		trunk := network.Switch("trunk")
		red, blue := network.VLAN("red", trunk, 100, "10.0.1.0/24", "fd00:1::/64"), network.VLAN("blue", trunk, 200, "10.0.2.0/24", "fd00:2::/64")
		network.Router("fw", trunk.Trunk(100), red, blue)
		network.Host("pc", trunk.Access(100))
		network.Host("phone", trunk.Access(200))
		network.Host("server", trunk.Trunk(100, 200), red)
		lab := served(network)
		fw, pc, phone, server := lab.Node("fw"), lab.Node("pc"), lab.Node("phone"), lab.Node("server")
		reaches(ctx, pc, server)
		reaches(ctx, pc, fw)
		keeps(phone, fw)
		Expect(fw).To(probes.BeIsolatedFrom(phone, briefly(probes.ICMP(), probes.UDP(53))...).At("fw").
			By("the VLAN filter of switch trunk: port fw does not carry VLAN 200, whose tag fw gives, port phone is in VLAN 200").WithContext(ctx))
		Expect(fw).To(probes.MustMatter(probes.BeIsolatedFrom(phone, briefly(probes.TCP(80))...)).Because(evidence.PortVLAN).WithContext(ctx))
		Expect(phone).To(probes.MustMatter(probes.BeIsolatedFrom(fw.On("blue"), briefly(probes.TCP(80))...)).Because(evidence.PortVLAN).WithContext(ctx))

		By("carrying it, as the control")
		Expect(fw.Port("trunk").SetVLANs(0, 100, 200)).To(Succeed())
		passes(phone, pc)
		reaches(ctx, phone, server)
		same(lab)
	})

	It("has a native VLAN, and drops what has no tag where it has none", func(ctx SpecContext) {
		network := topo.New("native")
		lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
		network.Host("both", lan.Access(7).Trunk(100))
		network.Host("native", lan.Access(7))
		network.Host("tags", lan.Trunk(100, 200))
		network.Host("plain", lan)
		lab := served(network)
		reaches(ctx, lab.Node("both"), lab.Node("native"))
		apart(ctx, lab.Node("tags"), lab.Node("plain"), "tags", evidence.PortVLAN, probes.ICMP())
		Expect(lab.Node("tags")).To(probes.BeIsolatedFrom(lab.Node("plain"), briefly(probes.UDP(53))...).
			By("the VLAN filter of switch lan: port tags takes nothing without a tag, port plain is in VLAN 1").WithContext(ctx))
		Expect(lab.Node("plain")).To(probes.MustMatter(probes.BeIsolatedFrom(lab.Node("tags"), briefly(probes.TCP(80))...)).Because(evidence.PortVLAN).WithContext(ctx))
		for _, from := range []string{"both", "native", "plain"} {
			keeps(lab.Node(from), lab.Node("tags"))
			keeps(lab.Node("tags"), lab.Node(from))
		}
	})

	It("has tenants of no common router: there is no path", func(ctx SpecContext) {
		network := topo.New("tenants")
		trunk := network.Switch("trunk")
		for i, name := range []string{"red", "blue"} {
			network.VLAN(name, trunk, 100*(i+1), fmt.Sprintf("10.0.%d.0/24", i+1), fmt.Sprintf("fd00:%d::/64", i+1))
			network.Host(name+"a", trunk.Access(100*(i+1)))
			network.Host(name+"b", trunk.Access(100*(i+1)))
		}
		lab := served(network)
		reaches(ctx, lab.Node("reda"), lab.Node("redb"))
		Expect(lab.Node("reda")).To(probes.BeIsolatedFrom(lab.Node("bluea"), briefly(all...)...).Because(evidence.NoPath).WithContext(ctx))
		Expect(lab.Node("reda")).To(probes.BeIsolatedFrom(lab.Node("blueb"), briefly(all...)...).WithContext(ctx))
	})

	It("has the same addresses in two VLANs", func(ctx SpecContext) {
		network := topo.New("overlapping")
		trunk := network.Switch("trunk")
		for i, name := range []string{"red", "blue"} {
			vlan := network.VLAN(name, trunk, 100*(i+1), "10.0.1.0/24", "fd00:1::/64")
			network.Host(name+"a", trunk.Access(100*(i+1)))
			network.Host(name+"b", trunk.Trunk(100*(i+1)), vlan)
		}
		lab := served(network)
		for _, name := range []string{"red", "blue"} {
			passes(lab.Node(name+"a"), lab.Node(name+"b"))
			reaches(ctx, lab.Node(name+"a"), lab.Node(name+"b"))
		}
		Expect(lab.Node("reda")).To(probes.BeIsolatedFrom(lab.Node("blueb"), briefly(probes.UDP(53))...).WithContext(ctx))
	})

	It("passes a first packet", func() {
		for range 20 {
			lab := harness.Up(GinkgoTB(), firewallOnly())
			pc, fw, printer := lab.Node("pc"), lab.Node("fw"), lab.Node("printer")
			once(pc, printer)
			once(fw, pc)
			once(printer, fw)
			lab.Down()
		}
	})

	It("passes a first packet after each change", func() {
		lab := harness.Up(GinkgoTB(), firewallOnly())
		pc, printer := lab.Node("pc"), lab.Node("printer")
		for range 20 {
			Expect(pc.Port("trunk").SetVLANs(200)).To(Succeed())
			keeps(pc, printer)
			Expect(pc.Port("trunk").SetVLANs(100)).To(Succeed())
			once(printer, pc)
			once(pc, printer)
		}
	})
})

// firewallOnly is a firewall on a trunk with a VLAN of two hosts.
func firewallOnly() *topo.Network {
	network := topo.New("first")
	trunk := network.Switch("trunk")
	staff := network.VLAN("staff", trunk, 100, "10.0.1.0/24", "fd00:1::/64")
	network.Router("fw", trunk, staff, network.VLAN("guests", trunk, 200, "10.0.2.0/24", "fd00:2::/64"))
	network.Host("pc", trunk.Access(100))
	network.Host("printer", trunk.Access(100))
	return network
}

// once has a first datagram pass to the address of the other's that it sees, by both families,
// before a kernel would ask for a neighbour again, which is a second later.
func once(from, to *harness.Node) {
	GinkgoHelper()
	for _, v6 := range []bool{false, true} {
		addr, ok := from.Lab().Plan().Nearest(from.Name(), to.Name(), v6)
		Expect(ok).To(BeTrue())
		Expect(bringsTo(from, to, addr, 800*time.Millisecond)).To(BeTrue(), "%s to %s of %s", from, addr, to)
	}
}

var _ = Describe("a firewall's box", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.VLANFiltering) })

	It("has its services in one namespace and its management in another, on tagged ports", func(ctx SpecContext) {
		network := topo.New("box")
		trunk := network.Switch("trunk")
		uplink := network.VLAN("uplink", trunk, 10, "192.0.2.0/24", "2001:db8::/64")
		staff := network.VLAN("staff", trunk, 100, "10.0.1.0/24", "fd00:1::/64")
		admin := network.VLAN("admin", trunk, 99, "10.0.99.0/24", "fd00:99::/64")
		network.Router("services", trunk.Trunk(10, 100), uplink, staff)
		network.Host("management", trunk.Trunk(99), admin)
		network.Host("console", trunk.Access(99))
		network.Host("pc", trunk.Access(100))
		network.Host("internet", trunk.Access(10))
		lab := served(network)
		console, management, services, pc, internet := lab.Node("console"), lab.Node("management"), lab.Node("services"), lab.Node("pc"), lab.Node("internet")
		reaches(ctx, console, management)
		reaches(ctx, pc, services)
		reaches(ctx, pc, internet)
		for _, from := range []*harness.Node{pc, internet, services} {
			Expect(from).To(probes.BeIsolatedFrom(management, briefly(all...)...).Because(evidence.NoPath).WithContext(ctx))
		}
		keeps(pc, management)
		keeps(internet, management)

		By("carrying the services' VLAN to the management by mistake, which is no path for it yet")
		Expect(management.Port("trunk").SetVLANs(0, 99, 100)).To(Succeed())
		keeps(pc, management)
		same(lab)
	})
})
