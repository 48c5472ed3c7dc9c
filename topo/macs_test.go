package topo_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/nstest/nstest/topo"
)

func TestMadeMACsAreLocalUnicastAndUnique(t *testing.T) {
	t.Parallel()
	network := topo.New("macs")
	lan, dmz := network.Switch("lan"), network.Switch("dmz")
	for i := range 500 {
		network.Host(fmt.Sprintf("h%d", i), lan, dmz, lan)
	}
	seen := map[[6]byte]bool{}
	for _, node := range mustPlan(t, network).Nodes {
		for _, port := range node.Ports {
			if port.MAC[0]&3 != 2 || seen[port.MAC] {
				t.Errorf("node %s: port %s: %s", node.Name, port.Name, net.HardwareAddr(port.MAC[:]))
			}
			seen[port.MAC] = true
		}
	}
}

// A plan is compared with those of other runs and machines, so what is made of
// names never changes.
func TestMadeMACsAreTheSameInEveryRun(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan := network.Switch("lan")
	network.Host("client", lan, lan)
	ports := mustPlan(t, network).Nodes[0].Ports
	for i, want := range []string{"86:e6:67:45:77:15", "86:e6:67:45:77:16"} {
		if got := net.HardwareAddr(ports[i].MAC[:]).String(); got != want {
			t.Errorf("port %d has %s, not %s", i, got, want)
		}
	}
}

func TestMadeMACsKeepClearOfChosenOnes(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan, dmz := network.Switch("lan"), network.Switch("dmz")
	network.Host("client", lan)
	network.Host("other", dmz.MAC("86:e6:67:45:77:15"))
	ports := mustPlan(t, network).Nodes[0].Ports
	if got := net.HardwareAddr(ports[0].MAC[:]).String(); got != "86:e6:67:45:77:16" {
		t.Errorf("the made one is %s", got)
	}
}

func TestChosenMACs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][6]byte{
		"02:00:00:00:00:0a": {2, 0, 0, 0, 0, 10},
		"02-00-00-00-00-0B": {2, 0, 0, 0, 0, 11},
		"0200.0000.000c":    {2, 0, 0, 0, 0, 12},
		"00:00:5e:00:01:01": {0, 0, 0x5e, 0, 1, 1}, // a vendor's is fine
	} {
		network := topo.New("macs")
		network.Host("a", network.Switch("lan").MAC("02:00:00:00:00:01").MAC(text))
		if got := mustPlan(t, network).Nodes[0].Ports[0].MAC; got != want {
			t.Errorf("%s is %x", text, got)
		}
	}
}

func TestTheSameMACTwice(t *testing.T) {
	t.Parallel()
	const mac = "02:00:00:00:00:01"
	for name, declare := range map[string]func(n *topo.Network){
		"on different segments": func(n *topo.Network) {
			n.Host("a", n.Switch("lan").MAC(mac))
			n.Host("b", n.Switch("dmz").MAC(mac))
		},
		"on two segments of one node": func(n *topo.Network) {
			n.Host("a", n.Switch("lan").MAC(mac), n.Switch("dmz").MAC(mac))
		},
		"when the first means it": func(n *topo.Network) {
			lan := n.Switch("lan")
			n.Host("a", lan.MAC(mac).Duplicate())
			n.Host("b", lan.MAC(mac))
		},
		"when the second means it": func(n *topo.Network) {
			lan := n.Switch("lan")
			n.Host("a", lan.MAC(mac))
			n.Host("b", lan.MAC(mac).Duplicate())
		},
		"on a wire, when one means it": func(n *topo.Network) {
			wire := n.Wire("wire")
			n.Host("a", wire.MAC(mac))
			n.Host("b", wire.MAC(mac).Duplicate())
		},
	} {
		network := topo.New("macs")
		declare(network)
		if err := network.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
