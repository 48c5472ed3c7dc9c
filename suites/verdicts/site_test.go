package verdicts_test

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// site is pc --lan-- fw --wan-- site: 10.0.1.0/24 and 10.0.9.0/24, pc and site with
// the first address of their segment, fw with the second of both.
type site struct {
	network  *topo.Network
	lan, wan *topo.Segment
	pc, site *topo.Node
	fw       *topo.Node

	lab *harness.Lab
}

// planned is the declaration, for a spec to add to.
func planned() *site {
	s := &site{network: topo.New("office")}
	s.lan, s.wan = s.network.Switch("lan", "10.0.1.0/24"), s.network.Switch("wan", "10.0.9.0/24")
	s.pc, s.site = s.network.Host("pc", s.lan), s.network.Host("site", s.wan)
	s.fw = s.network.Router("fw", s.lan, s.wan)
	return s
}

// up builds it.
func (s *site) up() *site {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.NftTool)
	s.lab = harness.Up(GinkgoTB(), s.network)
	return s
}

func (s *site) node(name string) *harness.Node { return s.lab.Node(name) }

// ruled is the office with rules at fw.
func ruled(rules string) *site {
	GinkgoHelper()
	s := planned()
	s.fw.Nft(rules)
	return s.up()
}

var (
	icmp  = probes.ICMP()
	web   = probes.TCP(80)
	ssh   = probes.TCP(22)
	echo  = probes.UDP(7)
	site4 = netip.MustParseAddr("10.0.9.1")
)

// silence is how long to wait for nothing.
const silence = 200 * time.Millisecond

// soon is when the end of a probe has long been seen, however busy the machine.
const soon = 25 * time.Second

// holds says whether a matcher holds; an error is none.
func holds(matcher OmegaMatcher, actual any) bool {
	GinkgoHelper()
	ok, err := matcher.Match(actual)
	if err != nil {
		AddReportEntry("it does not hold", err.Error(), ReportEntryVisibilityFailureOrVerbose)
	}
	return ok && err == nil
}

// notIsolated says that a check of isolation does not pass, and that its words have
// each of these.
func notIsolated(ctx SpecContext, from *harness.Node, to probes.Target, p probes.Probe, words ...string) {
	GinkgoHelper()
	ok, err := probes.BeIsolatedFrom(to, p).WithContext(ctx).Match(from)
	Expect(ok).To(BeFalse(), "isolated")
	for _, word := range words {
		Expect(err).To(MatchError(ContainSubstring(word)))
	}
}

// drop is a table with one rule in forward.
func drop(rule string) string {
	return "table inet filter { chain forward { type filter hook forward priority 0; " + rule + "; }; }"
}

// tables adds a route to a node by hand, as a policy routing rule's table has.
func route(node *harness.Node, table int, to, device string, via string) {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(device)
	Expect(err).NotTo(HaveOccurred())
	prefix, err := netlink.ParseIPNet(to)
	Expect(err).NotTo(HaveOccurred())
	r := &netlink.Route{Table: table, Dst: prefix, LinkIndex: link.Attrs().Index}
	if via != "" {
		r.Gw = netip.MustParseAddr(via).AsSlice()
	} else {
		r.Scope = netlink.SCOPE_LINK
	}
	Expect(node.Netlink().RouteAdd(r)).To(Succeed())
}

// forget takes a neighbour entry away.
func forget(node *harness.Node, device string, addr netip.Addr) {
	GinkgoHelper()
	link, err := node.Netlink().LinkByName(device)
	Expect(err).NotTo(HaveOccurred())
	err = node.Netlink().NeighDel(&netlink.Neigh{LinkIndex: link.Attrs().Index, IP: addr.AsSlice()})
	if !errors.Is(err, unix.ENOENT) {
		Expect(err).NotTo(HaveOccurred())
	}
}

func mustCIDR(text string) *net.IPNet {
	GinkgoHelper()
	prefix, err := netlink.ParseIPNet(text)
	Expect(err).NotTo(HaveOccurred())
	return prefix
}

// spread gives a node a route with several ways, by device and router.
func spread(node *harness.Node, to string, ways map[string]string) {
	GinkgoHelper()
	multi := &netlink.Route{Dst: mustCIDR(to)}
	for device, via := range ways {
		link, err := node.Netlink().LinkByName(device)
		Expect(err).NotTo(HaveOccurred())
		multi.MultiPath = append(multi.MultiPath, &netlink.NexthopInfo{LinkIndex: link.Attrs().Index, Gw: netip.MustParseAddr(via).AsSlice()})
	}
	Expect(node.Netlink().RouteReplace(multi)).To(Succeed())
}
