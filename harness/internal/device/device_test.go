package device_test

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness/internal/device"
	"github.com/nstest/nstest/topo"
)

// Every kind that can be declared can be made.
func TestEveryDeclaredKindIsMade(t *testing.T) {
	t.Parallel()
	network := topo.New("all")
	core := network.Switch("core", "192.0.2.0/24")
	r := network.Router("r", core, core.As("eth1"), network.VXLAN("vx", core, 1), network.VLAN("vl", core, 2), network.MACVLAN("mv", core), network.WireGuard("wg", core))
	r.Bond("bond0", topo.ActiveBackup, core.As("eth1"))
	r.Bridge("br0")
	r.VRF("v", 10)
	r.Dummy("d0")
	r.Tun("tun0")
	r.Tap("tap0")
	plan, err := network.Plan()
	if err != nil {
		t.Fatal(err)
	}
	node, _ := plan.Node("r")
	seen := map[string]bool{}
	for i := range node.Devices {
		d := &node.Devices[i]
		if d.Kind == topo.PortKind {
			continue
		}
		kind, err := device.Of(d.Kind)
		if err != nil {
			t.Error(err)
			continue
		}
		seen[kind.Name] = true
		if kind.Data != nil {
			var data device.Attributes
			if kind.Data(&data, d); len(data) == 0 || len(data)%4 != 0 {
				t.Errorf("%s: %d bytes of attributes", d.Kind, len(data))
			}
		}
	}
	if len(seen) != 10 {
		t.Errorf("%d kinds were declared, of 10", len(seen))
	}
	if _, err := device.Of("teapot"); err == nil {
		t.Error("there are no teapots")
	}
}

func TestAttributesAreNetlinks(t *testing.T) {
	t.Parallel()
	var a device.Attributes
	a.U8(1, 7)
	a.U32(2, 1)
	a.Addr(3, netip.MustParseAddr("192.0.2.1"))
	if len(a) != 24 || a[0] != 5 || a[4] != 7 || a[8] != 8 || string(a[20:]) != "\xc0\x00\x02\x01" {
		t.Errorf("% x", []byte(a))
	}
}
