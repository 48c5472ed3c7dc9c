package topo_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// peered are an interface's port of UDP and its peers: "b 192.0.2.2:51820 [10.8.0.2/32]".
func peered(t *testing.T, node *topo.NodePlan, name string) (lines []string) {
	t.Helper()
	d, has := node.Device(name)
	if !has || d.WireGuard == nil {
		t.Fatalf("%s has no %s of WireGuard", node.Name, name)
	}
	for _, peer := range d.WireGuard.Peers {
		lines = append(lines, fmt.Sprintf("%s %s %v", peer.Node, peer.Endpoint, peer.Allowed))
	}
	return lines
}

// roaming is a laptop that does all by an exit, and a phone that does not.
func roaming() *topo.Network {
	world := topo.New("world")
	wifi := world.Switch("wifi", "192.0.2.0/24", "fd00:9::/64")
	vpn := world.WireGuard("vpn", wifi, "10.8.0.0/24", "fd00:8::/64")
	site := world.Switch("site", "10.1.0.0/16")
	world.Router("exit", wifi, vpn, site)
	world.Host("web", site)
	world.Host("laptop", wifi, vpn).NoRoutes().Route(topo.Route{Via: "10.8.0.1"})
	world.Host("phone", vpn.As("wg0"), wifi)
	return world
}

func TestWireGuardKnowsItsPeers(t *testing.T) {
	t.Parallel()
	plan := mustPlan(t, roaming())
	same(t, stacked(nodeOf(t, plan, "laptop")), []string{"wifi veth", "vpn wireguard on wifi 51820 from 192.0.2.2 to [] mtu 1420"})
	same(t, peered(t, nodeOf(t, plan, "laptop"), "vpn"), []string{
		"exit 192.0.2.1:51820 [10.8.0.1/32 fd00:8::1/128 0.0.0.0/0]",
		"phone 192.0.2.3:51820 [10.8.0.3/32 fd00:8::3/128]",
	})
	same(t, peered(t, nodeOf(t, plan, "phone"), "wg0"), []string{
		"exit 192.0.2.1:51820 [10.8.0.1/32 fd00:8::1/128 0.0.0.0/0]",
		"laptop 192.0.2.2:51820 [10.8.0.2/32 fd00:8::2/128]",
	})
	same(t, peered(t, nodeOf(t, plan, "exit"), "vpn"), []string{
		"laptop 192.0.2.2:51820 [10.8.0.2/32 fd00:8::2/128]",
		"phone 192.0.2.3:51820 [10.8.0.3/32 fd00:8::3/128]",
	})
	if s, _ := plan.Segment("vpn"); s.Kind.String() != "wireguard" || s.Over != "wifi" || s.MTU != 1420 {
		t.Errorf("%+v", s)
	}
	if text := plan.String(); !strings.Contains(text, "1420  -") {
		t.Errorf("a port without a MAC:\n%s", text)
	}
}

func TestWireGuardKeysAreTheSameEveryTime(t *testing.T) {
	t.Parallel()
	one, two := nodeOf(t, mustPlan(t, roaming()), "exit"), nodeOf(t, mustPlan(t, roaming()), "exit")
	a, _ := one.Device("vpn")
	b, _ := two.Device("vpn")
	if a.WireGuard.Key != b.WireGuard.Key || a.WireGuard.Peers[0].Key != b.WireGuard.Peers[0].Key {
		t.Error("two plans of one declaration have other keys")
	}
	laptop, _ := nodeOf(t, mustPlan(t, roaming()), "laptop").Device("vpn")
	if a.WireGuard.Peers[0].Key != laptop.WireGuard.Key.Public() || laptop.WireGuard.Key == a.WireGuard.Key {
		t.Error("a peer's key is its public one, and nobody else's")
	}
	// RFC 7748, 6.1: Alice's.
	alice := topo.WireGuardKey{0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a}
	if got := alice.Public().String(); got != "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=" {
		t.Error("the public key of", alice, "is", got)
	}
}

// Two sites, whose routers are each other's peers, and a second tunnel of both.
func TestWireGuardAllowsWhatIsBehindARouter(t *testing.T) {
	t.Parallel()
	world := topo.New("world")
	core := world.Switch("core", "192.0.2.0/24")
	vpn, second := world.WireGuard("vpn", core, "10.8.0.0/24"), world.WireGuard("second", core, "10.9.0.0/24")
	a, b := world.Switch("a", "10.1.0.0/24"), world.Switch("b", "10.2.0.0/24")
	world.Router("ra", vpn, second, core, a)
	world.Router("rb", vpn, second, core, b)
	plan := mustPlan(t, world)
	same(t, peered(t, nodeOf(t, plan, "ra"), "vpn"), []string{"rb 192.0.2.2:51820 [10.8.0.2/32 10.2.0.0/24]"})
	same(t, peered(t, nodeOf(t, plan, "rb"), "vpn"), []string{"ra 192.0.2.1:51820 [10.8.0.1/32 10.1.0.0/24]"})
	same(t, peered(t, nodeOf(t, plan, "ra"), "second"), []string{"rb 192.0.2.2:51821 [10.9.0.2/32]"})

	less := world.Copy(plan)
	less.Remove(less.Segment("vpn"))
	plan = mustPlan(t, less)
	same(t, peered(t, nodeOf(t, plan, "ra"), "second"), []string{"rb 192.0.2.2:51821 [10.9.0.2/32 10.2.0.0/24]"})
}

func TestWireGuardTellsOfADestinationThatIsNoPeers(t *testing.T) {
	t.Parallel()
	world := topo.New("world")
	core := world.Switch("core", "192.0.2.0/24")
	vpn := world.WireGuard("vpn", core, "10.8.0.0/24")
	world.Host("a", core, vpn)
	world.Host("b", core, vpn)
	world.Host("c", core, vpn).Route(topo.Route{To: "10.1.0.0/16", Dev: vpn},
		topo.Route{To: "10.2.0.0/16", Via: "10.8.0.2", Metric: 1}, topo.Route{To: "10.2.0.0/16", Via: "10.8.0.1", Metric: 2})
	plan := mustPlan(t, world)
	same(t, peered(t, nodeOf(t, plan, "c"), "vpn"), []string{"a 192.0.2.1:51820 [10.8.0.1/32]", "b 192.0.2.2:51820 [10.8.0.2/32 10.2.0.0/16]"})
	same(t, plan.Notes, []string{
		"node c: the route to 10.1.0.0/16 by vpn is no peer's: give it a gateway",
		"node c: 10.2.0.0/16 is allowed to peer b of vpn, and not to a: a destination is one peer's",
	})
}

func TestMistakesInWireGuard(t *testing.T) {
	t.Parallel()
	vpn := func(n *topo.Network) (core, vpn *topo.Segment) {
		core = n.Switch("core", "192.0.2.0/24")
		return core, n.WireGuard("vpn", core, "10.8.0.0/24")
	}
	check(t, []mistake{
		one("node a: segment vpn: MAC 02:00:00:00:00:01: ports of wireguard have none: leave it out", func(n *topo.Network) {
			core, vpn := vpn(n)
			n.Host("a", core, vpn.MAC("02:00:00:00:00:01"))
		}),
		one("node a: bridge br0: port vpn is on a segment of wireguard, which carries packets and no frames: take it out", func(n *topo.Network) {
			core, vpn := vpn(n)
			n.Host("a", core, vpn).Bridge("br0", vpn)
		}),
		one("segment red: vlan is made of frames, and segment vpn, wireguard, carries packets alone: choose another", func(n *topo.Network) {
			_, vpn := vpn(n)
			n.VLAN("red", vpn, 7)
		}),
		one("node a: segment vpn: it is over segment core, on which the node has no port: attach it there as well", func(n *topo.Network) {
			_, vpn := vpn(n)
			n.Host("a", vpn)
		}),
	})
}
