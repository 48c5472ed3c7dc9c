package egress_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/fence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a sandbox in a lab of the harness's", func() {
	office := func(rules string) *topo.Network {
		network := topo.New("office")
		lan, wan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), network.Switch("wan", "198.51.100.0/24", "2001:db8:1::/64")
		network.Host("box", lan) // 10.0.1.1 and fd00:1::1
		network.Host("free", lan)
		network.Host("outside", wan)
		network.Host("cell")
		network.Router("fw", lan, wan).Nft(rules)
		return network
	}
	const closed = `
		table inet fence {
			chain forward { type filter hook forward priority 0; ip saddr 10.0.1.1 drop; ip6 saddr fd00:1::1 drop; }
			chain input { type filter hook input priority 0; ip saddr 10.0.1.1 meta l4proto { tcp, udp, icmp } drop; ip6 saddr fd00:1::1 tcp dport 0-65535 drop; }
			chain spoofed { type filter hook prerouting priority -300; ip saddr { 192.0.2.0/24, 10.0.1.65 } drop; ip6 saddr 2001:db8:66::/48 drop; }
		}`
	world := func(lab *harness.Lab) fence.World {
		return fence.World{Outside: lab.Node("outside"), Free: lab.Node("free"), Gateway: lab.Node("fw")}
	}

	It("is closed or not by its router's rules", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		lab := harness.Up(GinkgoTB(), office(closed))
		Expect(lab.Node("box")).To(fence.BeClosed(world(lab)).WithContext(ctx))
		Expect(lab.Node("free")).NotTo(fence.BeClosed(fence.World{Outside: lab.Node("outside"), Free: lab.Node("fw")}).WithContext(ctx))
	})

	It("is not shown to be closed by a mistake", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		lab := harness.Up(GinkgoTB(), office(closed))
		Expect(lab.Node("box").Port("lan").Down()).To(Succeed())
		report, err := fence.Check(ctx, lab.Node("box"), world(lab))
		Expect(err).NotTo(HaveOccurred())
		for _, channel := range []string{"icmp", "tcp6", "gre", "gateway"} {
			f, _ := report.Finding(channel)
			Expect(f.State).To(Equal(fence.Unproven), "%s", f)
			Expect(f.Cause.Node).To(Equal("box"), "%s", f)
		}
		_, err = fence.BeClosed(world(lab)).Match(report)
		Expect(err).To(MatchError(ContainSubstring("not shown to be closed")))
	})

	It("is closed where nothing joins it with the outside, and not by having nothing", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		lab := harness.Up(GinkgoTB(), office(closed))
		report, err := fence.Check(ctx, lab.Node("cell"), world(lab))
		Expect(err).NotTo(HaveOccurred())
		f, _ := report.Finding("tcp")
		Expect(f.State).To(Equal(fence.Blocked), "%s", f)
		Expect(f.Cause.Word()).To(Equal("nopath"))
		Expect(lab.Node("cell")).To(fence.BeClosed(world(lab)).WithContext(ctx))
		_, err = fence.BeClosed(world(lab)).Match(fence.Report{Findings: []fence.Finding{{Channel: "tcp", State: fence.Absent}}})
		Expect(err).To(MatchError(ContainSubstring("no channel could be tried")))
		_, err = fence.BeClosed(world(lab)).Except("tpc").Match(lab.Node("box"))
		Expect(err).To(MatchError(HavePrefix(`BeClosed: there is no channel "tpc"; there are: icmp, icmp6, tcp`)))
	})
})
