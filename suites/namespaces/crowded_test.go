package namespaces_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// guestVar says that the machine is a guest of vmtest's, which nobody else uses.
const guestVar = "NSTEST_GUEST"

// thresholds are how many neighbours the machine's table has room for, of a version of IP.
func thresholds(version int) (names []string) {
	for i := range 3 {
		names = append(names, fmt.Sprintf("/proc/sys/net/ipv%d/neigh/default/gc_thresh%d", version, 3-i))
	}
	return names
}

// crowd fills the machine's tables of neighbours, until the spec is over: it makes them small,
// and gives a node more entries than they have room for. Where there is no room the kernel
// takes those that nobody has changed for five seconds (neigh_forced_gc), so they are changed.
func crowd(node *harness.Node) {
	GinkgoHelper()
	const room = 16
	link, err := node.Netlink().LinkByName("lan")
	Expect(err).NotTo(HaveOccurred())
	patterns := map[int]string{4: "10.0.1.%d", 6: "fd00:1::%x"}
	turn := byte(0)
	fill := func(version int) (full bool) {
		turn++
		for i := 100; i < 100+2*room; i++ {
			err := node.Netlink().NeighSet(&netlink.Neigh{
				LinkIndex: link.Attrs().Index, State: unix.NUD_STALE, IP: net.ParseIP(fmt.Sprintf(patterns[version], i)),
				HardwareAddr: net.HardwareAddr{2, 0, 0, 0, turn, byte(i)},
			})
			full = full || err == unix.ENOBUFS
		}
		return full
	}
	for version := range patterns {
		for _, name := range thresholds(version) {
			was, err := os.ReadFile(name)
			Expect(err).NotTo(HaveOccurred())
			Expect(os.WriteFile(name, []byte(fmt.Sprint(room)), 0)).To(Succeed())
			DeferCleanup(func() { Expect(os.WriteFile(name, was, 0)).To(Succeed()) })
		}
		Expect(fill(version)).To(BeTrue(), "the control: the kernel has room for more of IPv%d", version)
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				fill(4)
				fill(6)
			}
		}
	}()
	DeferCleanup(func() { close(over); <-ended })
}

var _ = Describe("the machine's table of neighbours, which namespaces share", Serial, func() {
	var client, server, filler *harness.Node

	BeforeEach(func() {
		harness.Require(GinkgoTB(), harness.Root)
		if os.Getenv(guestVar) == "" {
			Skip("it fills the table, which others on this machine use: make vm")
		}
		network := topo.New("crowded")
		lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
		network.Host("client", lan)
		network.Host("server", lan)
		network.Host("filler", lan)
		lab := harness.Up(GinkgoTB(), network)
		client, server, filler = lab.Node("client"), lab.Node("server"), lab.Node("filler")
		probes.Serve(GinkgoTB(), server, probes.TCP(80), probes.UDP(53))
	})

	DescribeTable("is told when it is full, and no verdict is given", func(ctx SpecContext, p probes.Probe, version int) {
		p = p.Within(300 * time.Millisecond)
		addr := netip.MustParseAddr(map[int]string{4: "10.0.1.2", 6: "fd00:1::2"}[version])
		Expect(client.NeighbourTableFull(version == 6)).To(BeFalse())
		crowd(filler)
		Expect(client.NeighbourTableFull(version == 6)).To(BeTrue())
		says := func(version int) OmegaMatcher {
			return MatchError(And(
				ContainSubstring("the table of IPv%d neighbours is full", version),
				ContainSubstring("raise sysctl net.ipv%d.neigh.default.gc_thresh3", version),
			))
		}
		full := says(version)
		_, err := probes.Ask(ctx, client, addr, p)
		Expect(err).To(full, "Ask")
		_, err = probes.Watch(ctx, client, addr, p)
		Expect(err).To(Or(full, says(4)), "Watch, which may want an entry for the loopback")
		for what, matcher := range map[string]OmegaMatcher{
			"Reach": probes.Reach(addr, p), "BeIsolatedFrom": probes.BeIsolatedFrom(addr, p),
			"Because": probes.BeIsolatedFrom(addr, p).Because("neighbour"),
		} {
			ok, err := matcher.Match(client)
			Expect(ok).To(BeFalse(), what)
			Expect(err).To(Or(full, says(4)), what)
		}
		for _, watch := range []bool{false, true} {
			grid := probes.Grid{From: []*harness.Node{client}, To: []probes.Target{addr}, Probes: []probes.Probe{p}, Watch: watch}
			matrix, err := grid.Survey(ctx)
			Expect(matrix).To(BeNil())
			Expect(err).To(Or(full, says(4)), "a survey, watched: %v", watch)
		}
	},
		Entry(nil, probes.ICMP(), 4), Entry(nil, probes.ICMP(), 6),
		Entry(nil, probes.TCP(80), 4), Entry(nil, probes.TCP(80), 6),
		Entry(nil, probes.UDP(53), 4), Entry(nil, probes.UDP(53), 6),
	)

	It("has room again, and then nothing is said of it", func(ctx SpecContext) {
		Expect(client).To(probes.Reach(server, probes.ICMP(), probes.TCP(80), probes.UDP(53)))
		r, err := probes.Watch(ctx, client, netip.MustParseAddr("10.0.1.77"), probes.ICMP().Within(300*time.Millisecond))
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Cause.Kind).To(BeEquivalentTo("neighbour"))
	})
})
