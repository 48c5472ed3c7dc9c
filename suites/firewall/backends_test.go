package firewall_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// banned are rules that ask a set of ipset who is.
const banned = `*filter
:FORWARD ACCEPT [0:0]
-A FORWARD -m set --match-set banned src -m comment --comment "banned" -j DROP
COMMIT
`

var _ = Describe("rules of iptables that ask a set", func() {
	DescribeTable("keep out whom it has, and nobody else", func(ctx SpecContext, backend topo.Backend, kept string) {
		harness.Require(GinkgoTB(), harness.IptablesTool, harness.Tool(kept), harness.Tool("ipset"))
		network := topo.New("office")
		lan, wan := network.Switch("lan", "10.0.1.0/24"), network.Switch("wan", "198.51.100.0/24")
		network.Host("desk", lan)
		network.Host("printer", lan)
		network.Host("inet", wan)
		network.Router("fw", lan, wan).Ipset("create banned hash:ip\nadd banned 198.51.100.77\n").Iptables(banned, backend)
		lab := harness.Up(GinkgoTB(), network)
		fw, desk, printer, inet := lab.Node("fw"), lab.Node("desk"), lab.Node("printer"), lab.Node("inet")
		probes.Serve(GinkgoTB(), inet, web)
		Expect(desk).To(probes.Reach(inet, web, probes.ICMP()).WithContext(ctx))

		Expect(fw.Ipset("add banned " + desk.Addr().String())).To(Succeed())
		Expect(desk).To(probes.BeIsolatedFrom(inet, web, probes.ICMP()).At("fw").By("banned").WithContext(ctx))
		Expect(printer).To(probes.Reach(inet, web).WithContext(ctx))
		out, err := fw.Command(kept, "-t", "filter", "-v", "-x", "-n", "-L", "FORWARD").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		Expect(string(out)).To(MatchRegexp(`(?m)^ *[1-9]\d* +\d+ DROP .*match-set banned src`), "the judge: the backend's own counter")

		twin, err := lab.Twin()
		Expect(err).NotTo(HaveOccurred())
		defer twin.Down()
		Expect(twin.Node("desk")).To(probes.BeIsolatedFrom(twin.Node("inet"), web).WithContext(ctx), "what was added is in the twin too")

		By("making a set that no twin has")
		out, err = fw.Command("ipset", "create", "stray", "hash:net").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		_, err = lab.Twin()
		Expect(err).To(MatchError(ContainSubstring("set stray of type hash:net")))

		By("taking it out, as the control")
		Expect(fw.Ipset("del banned " + desk.Addr().String())).To(Succeed())
		Expect(desk).To(probes.Reach(inet, web, probes.ICMP()).WithContext(ctx))
	},
		Entry("of x_tables", topo.Legacy, "iptables-legacy"),
		Entry("of nf_tables", topo.NfTables, "iptables-nft"),
	)

	It("are told which line of a set is wrong", func() {
		harness.Require(GinkgoTB(), harness.Tool("ipset"))
		network := topo.New("alone")
		network.Host("fw")
		err := harness.Up(GinkgoTB(), network).Node("fw").Ipset("create a hash:ip\nadd b 10.0.0.1\n")
		Expect(err).To(MatchError(And(ContainSubstring("node fw: load ipset text: ipset: "), ContainSubstring("line 2"))))
	})
})
