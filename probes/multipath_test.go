package probes_test

import (
	"net"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// forked is pc, a router that has two ways to site by ports, and the two on these ways;
// what they have decides.
func forked(t *testing.T, left, right string) (pc, site *harness.Node) {
	t.Helper()
	harness.Require(t, harness.NftTool)
	network := topo.New("forked")
	lan, middle, wan := network.Switch("lan", "10.0.1.0/24"), network.Switch("middle", "10.0.5.0/24"), network.Switch("wan", "10.0.9.0/24")
	network.Host("pc", lan)
	network.Host("site", wan)
	network.Router("fork", lan, middle).Sysctl("net.ipv4.fib_multipath_hash_policy", "1")
	network.Router("left", middle.At("10.0.5.10"), wan).Nft(left)
	network.Router("right", middle.At("10.0.5.20"), wan).Nft(right)
	lab := harness.Up(t, network)
	fork := lab.Node("fork")
	link, err := fork.Netlink().LinkByName("middle")
	if err != nil {
		t.Fatal(err)
	}
	hop := func(via string) *netlink.NexthopInfo {
		addr, _ := netlink.ParseAddr(via + "/32")
		return &netlink.NexthopInfo{LinkIndex: link.Attrs().Index, Gw: addr.IP}
	}
	prefix, err := netlink.ParseIPNet("10.0.9.0/24")
	if err != nil {
		t.Fatal(err)
	}
	route := &netlink.Route{Dst: prefix, MultiPath: []*netlink.NexthopInfo{hop("10.0.5.10"), hop("10.0.5.20")}}
	if err := fork.Netlink().RouteReplace(route); err != nil {
		t.Fatal(err)
	}
	return lab.Node("pc"), lab.Node("site")
}

const closedWay = `table inet filter { chain forward { type filter hook forward priority 0; policy accept; ip daddr 10.0.9.0/24 drop comment "closed"; }; }`

// One way closed isolates nobody, and both do: each is tried.
func TestAMultipathRouteIsTriedOnEveryWay(t *testing.T) {
	t.Parallel()
	web := web.Within(300 * time.Millisecond)
	for range 4 { // half of the single tries go the closed way
		pc, site := forked(t, closedWay, "")
		probes.Serve(t, site, web)
		if holds, err := probes.BeIsolatedFrom(site, web).Match(pc); holds {
			t.Error(holds, err)
		}
	}
	pc, site := forked(t, closedWay, closedWay)
	probes.Serve(t, site, web)
	g := gomega.NewWithT(t)
	g.Expect(pc).To(probes.BeIsolatedFrom(site, web).By("closed").At("left", "right"))
}

// A way that nobody gets to see is a doubt.
func TestAWayThatIsNeverTakenIsADoubt(t *testing.T) {
	t.Parallel()
	web := web.Within(300 * time.Millisecond)
	pc, site := forked(t, closedWay, closedWay)
	lab := pc.Lab()
	if err := lab.Node("right").Port("middle").Down(); err != nil {
		t.Fatal(err)
	}
	holds, err := probes.BeIsolatedFrom(site, web).By("closed").Match(pc)
	if holds || err == nil {
		t.Error(holds, err)
	}
}

// A route that comes before a multipath route is gone by every packet.
func TestARouteBeforeAMultipathRouteIsNoDoubt(t *testing.T) {
	t.Parallel()
	web := web.Within(300 * time.Millisecond)
	pc, site := forked(t, "", "")
	probes.Serve(t, site, web)
	fork := pc.Lab().Node("fork")
	closed := &netlink.Route{Dst: &net.IPNet{IP: site.Addr().AsSlice(), Mask: net.CIDRMask(32, 32)}, Type: unix.RTN_BLACKHOLE}
	if err := fork.Netlink().RouteAdd(closed); err != nil {
		t.Fatal(err)
	}
	g := gomega.NewWithT(t)
	g.Expect(pc).To(probes.BeIsolatedFrom(site, web).At("fork").Because(evidence.Blackhole))
	if err := fork.Netlink().RouteDel(closed); err != nil {
		t.Fatal(err)
	}
	g.Expect(pc).To(probes.Reach(site, web))
}
