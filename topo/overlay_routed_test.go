package topo_test

import (
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// far is a laptop at home, whose VPN has its other end in an office, past the internet.
//
//	laptop --home-- internet --office-- gateway --servers-- files
//	      \========= over home | over office =====/
func far() (world *topo.Network, home, office, vpn *topo.Segment) {
	world = topo.New("world")
	home, office = world.Switch("home", "192.0.2.0/24").MTU(1400), world.Switch("office", "198.51.100.0/24")
	vpn = world.WireGuard("vpn", office, "10.8.0.0/24")
	servers := world.Switch("servers", "10.1.0.0/16")
	world.Router("internet", home, office)
	world.Router("gateway", office, vpn, servers)
	world.Host("files", servers)
	return world, home, office, vpn
}

func TestAnEndOfATunnelIsElsewhere(t *testing.T) {
	t.Parallel()
	world, home, _, vpn := far()
	world.Host("laptop", home, vpn.Over(home))
	plan := mustPlan(t, world)
	laptop, gateway := nodeOf(t, plan, "laptop"), nodeOf(t, plan, "gateway")
	same(t, stacked(laptop), []string{"home veth mtu 1400", "vpn wireguard on home 51820 from 192.0.2.2 to [] mtu 1320"})
	same(t, stacked(gateway), []string{"office veth", "vpn wireguard on office 51820 from 198.51.100.2 to [] mtu 1320", "servers veth"})
	same(t, peered(t, laptop, "vpn"), []string{"gateway 198.51.100.2:51820 [10.8.0.1/32 10.1.0.0/16]"})
	same(t, peered(t, gateway, "vpn"), []string{"laptop 192.0.2.2:51820 [10.8.0.2/32]"})
	same(t, routes(laptop), []string{"198.51.100.0/24 via 192.0.2.1 dev home", "10.1.0.0/16 via 10.8.0.1 dev vpn"})
	if s, _ := plan.Segment("vpn"); !s.Routed || s.MTU != 1320 || s.Over != "office" {
		t.Errorf("%+v", s)
	}
}

// Whatever else leads there, what carries a tunnel does not go into it.
func TestATunnelDoesNotCarryItself(t *testing.T) {
	t.Parallel()
	for _, all := range []func(world *topo.Network, home, vpn *topo.Segment){
		func(world *topo.Network, home, vpn *topo.Segment) { // all by the gateway
			world.Host("laptop", home, vpn.Over(home)).NoRoutes().Route(topo.Route{Via: "10.8.0.1"})
		},
		func(world *topo.Network, home, vpn *topo.Segment) { // the nearest way to the office
			world.Host("laptop", vpn.Over(home), home).Route(topo.Route{Via: "10.8.0.1"})
		},
	} {
		world, home, _, vpn := far()
		all(world, home, vpn)
		laptop := nodeOf(t, mustPlan(t, world), "laptop")
		lines := routes(laptop)
		if lines[len(lines)-1] != "198.51.100.2/32 via 192.0.2.1 dev home" {
			t.Error("the laptop has", lines)
		}
	}
}

// What a user declares stays, and so does what leads there already.
func TestRoutesOfATunnelsEndsAreTheUsersFirst(t *testing.T) {
	t.Parallel()
	world, home, _, vpn := far()
	world.Host("laptop", home, vpn.Over(home)).NoRoutes().Route(topo.Route{To: "198.51.100.0/25", Type: topo.Blackhole})
	same(t, routes(nodeOf(t, mustPlan(t, world), "laptop")), []string{"blackhole 198.51.100.0/25"})
}

func TestOtherTunnelsPassRoutersToo(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		under string
		over  func(n *topo.Network, core *topo.Segment) *topo.Segment
		want  string
	}{
		{"192.0.2.0/25 192.0.2.128/25", func(n *topo.Network, core *topo.Segment) *topo.Segment {
			return n.VXLAN("red", core, 42, "10.0.1.0/24")
		}, "red vxlan on b 42 from 192.0.2.130 to [192.0.2.1] mtu 1450"},
		{"fd00:1::/64 fd00:2::/64", func(n *topo.Network, core *topo.Segment) *topo.Segment {
			return n.Geneve("red", core, 42, "10.0.1.0/24")
		}, "red geneve on b 42 from fd00:2::2 to [fd00:1::1] mtu 1430"},
		{"192.0.2.0/25 192.0.2.128/25", func(n *topo.Network, core *topo.Segment) *topo.Segment { return n.GRE("red", core, 7, "10.0.1.0/24") }, "red gre on b 7 from 192.0.2.130 to [192.0.2.1] mtu 1472"},
		{"192.0.2.0/25 192.0.2.128/25", func(n *topo.Network, core *topo.Segment) *topo.Segment { return n.IPIP("red", core, "10.0.1.0/24") }, "red ipip on b 0 from 192.0.2.130 to [192.0.2.1] mtu 1480"},
		{"192.0.2.0/25 192.0.2.128/25", func(n *topo.Network, core *topo.Segment) *topo.Segment { return n.SIT("red", core, "fd00:9::/64") }, "red sit on b 0 from 192.0.2.130 to [192.0.2.1] mtu 1480"},
	} {
		network := topo.New("dc")
		unders := strings.Fields(kind.under)
		a, b := network.Switch("a", unders[0]), network.Switch("b", unders[1])
		red := kind.over(network, a)
		network.Host("one", a, red)
		network.Router("r", a, b)
		network.Host("two", b, red.Over(b))
		plan := mustPlan(t, network)
		same(t, stacked(nodeOf(t, plan, "two")), []string{"b veth", kind.want})
		copied, err := network.Copy(plan).Plan()
		if err != nil {
			t.Fatal(err)
		}
		same(t, stacked(nodeOf(t, copied, "two")), []string{"b veth", kind.want})
	}
}

func TestMistakesInTunnelsThatPassRouters(t *testing.T) {
	t.Parallel()
	check(t, []mistake{
		one("node laptop: segment vpn: it is over segment home, on which the node has no port: attach it there as well", func(n *topo.Network) {
			home, office := n.Switch("home", "192.0.2.0/24"), n.Switch("office", "198.51.100.0/24")
			vpn := n.WireGuard("vpn", office)
			n.Host("laptop", office, vpn.Over(home))
		}),
		one("node gateway: segment vpn: no routers lead from segment office to 192.0.2.1 of node laptop, the other end: add one, or choose another segment", func(n *topo.Network) {
			home, office := n.Switch("home", "192.0.2.0/24"), n.Switch("office", "198.51.100.0/24")
			vpn := n.WireGuard("vpn", office, "10.8.0.0/24")
			n.Router("gateway", office, vpn)
			n.Router("laptop", home, vpn.Over(home))
		}),
		one("node laptop: segment vpn: it is over itself: choose the segment that is to carry it", func(n *topo.Network) {
			office := n.Switch("office", "198.51.100.0/24")
			vpn := n.WireGuard("vpn", office)
			n.Host("laptop", office, vpn.Over(vpn))
		}),
		one("node laptop: segment vpn: segment home, which it is over there, is declared later: declare it first", func(n *topo.Network) {
			office := n.Switch("office", "198.51.100.0/24")
			vpn := n.WireGuard("vpn", office)
			home := n.Switch("home", "192.0.2.0/24")
			n.Host("laptop", home, vpn.Over(home))
		}),
		one("node laptop: segment vpn: it is over no segment: declare that in this network", func(n *topo.Network) {
			office := n.Switch("office", "198.51.100.0/24")
			n.Host("laptop", office, n.WireGuard("vpn", office).Over(nil))
		}),
		one("node laptop: segment office: switch is over no other segment: leave Over out", func(n *topo.Network) {
			office := n.Switch("office", "198.51.100.0/24")
			n.Host("laptop", office.Over(office))
		}),
		one("node pc: segment staff: vlan is made of the frames of segment office, which pass no router: leave Over out", func(n *topo.Network) {
			home, office := n.Switch("home", "192.0.2.0/24"), n.Switch("office", "198.51.100.0/24")
			n.Host("pc", home, office, n.VLAN("staff", office, 7).Over(home))
		}),
		one("node laptop: segment vpn: the route to 198.51.100.2/32, the other end, leads into the tunnel that it is to carry: take it out", func(n *topo.Network) {
			home, office := n.Switch("home", "192.0.2.0/24"), n.Switch("office", "198.51.100.0/24")
			vpn := n.WireGuard("vpn", office, "10.8.0.0/24")
			n.Router("internet", home, office)
			n.Router("gateway", office, vpn)
			n.Host("laptop", home, vpn.Over(home)).Route(topo.Route{To: "198.51.100.2/32", Via: "10.8.0.1"})
		}),
		one("node laptop: segment vpn: home is in a VRF, and what carries the tunnel is routed by the node's main table: choose another port", func(n *topo.Network) {
			home, office := n.Switch("home", "192.0.2.0/24"), n.Switch("office", "198.51.100.0/24")
			vpn := n.WireGuard("vpn", office, "10.8.0.0/24")
			n.Router("internet", home, office)
			n.Router("gateway", office, vpn)
			n.Host("laptop", home, vpn.Over(home)).VRF("blue", 10, home)
		}),
	})
}

// A change that takes the segment away which a tunnel is over takes no port with it unasked.
func TestWhatATunnelIsOverIsTakenAway(t *testing.T) {
	t.Parallel()
	world, home, _, vpn := far()
	world.Host("laptop", home, vpn.Over(home))
	less := world.Copy(mustPlan(t, world))
	less.Remove(home)
	if err := less.Validate(); err == nil || err.Error() != "network world: node laptop: segment vpn: it is over segment home of network world: declare that in this network" {
		t.Error(err)
	}
}
