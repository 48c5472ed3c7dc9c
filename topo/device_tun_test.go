package topo_test

import (
	"testing"

	"github.com/nstest/nstest/topo"
)

func TestTunAndTap(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan := network.Switch("lan", "10.0.1.0/24")
	network.Host("pc", lan)
	r := network.Router("r", lan.NoAddress())
	tun := r.Tun("tun0").Address("10.9.0.1/32").MTU(1400)
	r.Bridge("br0", lan, r.Tap("tap0")).Address("10.0.1.9/24")
	r.Route(topo.Route{To: "10.9.0.0/16", Dev: tun})
	node := nodeOf(t, mustPlan(t, network), "r")
	same(t, stacked(node), []string{"lan veth", "tun0 tun mtu 1400", "tap0 tap", "br0 bridge"})
	same(t, routes(node), []string{"10.9.0.0/16 dev tun0"})
	none := [6]byte{}
	if a, b := node.Devices[1], node.Devices[2]; a.MAC != none || b.MAC == none || b.Master != "br0" {
		t.Errorf("%+v %+v", a, b)
	}
	check(t, []mistake{
		one("node a: bridge br0: port tun0 is a tun, which carries packets and no frames: take it out", func(n *topo.Network) {
			a := n.Host("a")
			a.Bridge("br0", a.Tun("tun0"))
		}),
	})
}
