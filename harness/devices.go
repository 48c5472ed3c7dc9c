package harness

import (
	"github.com/nstest/nstest/harness/internal/device"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// ownDevices are the interfaces of a node that are no ports.
func ownDevices(node *topo.NodePlan) []topo.DevicePlan { return node.Devices[len(node.Ports):] }

// addDevices makes a node's own devices, and its interfaces their ports.
func (s *site) addDevices(b *batch, node *topo.NodePlan) error {
	own := ownDevices(node)
	if len(own) == 0 {
		return nil
	}
	kinds := map[string]*device.Kind{}
	for i := range own {
		d := &own[i]
		kind, err := device.Of(d.Kind)
		if err != nil {
			return err
		}
		kinds[d.Name] = kind
		b.addDevice(d, kind, describe("make %s %s", d.Kind, d.Name))
	}
	for i := range node.Devices {
		d := &node.Devices[i]
		if d.Master == "" {
			continue
		}
		if kinds[d.Master].Idle {
			b.setLink(d.Index, false, describe("%s: set down", d.Name))
		}
		b.setMaster(d.Index, s.indexes[spot{node.Name, d.Master}], describe("%s: make it a port of %s", d.Name, d.Master))
	}
	return nil
}

// addDevice makes an interface.
func (b *batch) addDevice(d *topo.DevicePlan, kind *device.Kind, what func() string) {
	b.begin(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, ifinfo(d.Index, 0, 0))
	b.text(unix.IFLA_IFNAME, d.Name)
	if d.MAC != [6]byte{} {
		b.attr(unix.IFLA_ADDRESS, d.MAC[:])
	}
	if d.MTU != 0 {
		b.u32(unix.IFLA_MTU, uint32(d.MTU))
	}
	info := b.nest(unix.IFLA_LINKINFO)
	b.text(unix.IFLA_INFO_KIND, kind.Name)
	if kind.Data != nil {
		var data device.Attributes
		kind.Data(&data, d)
		b.attr(unix.IFLA_INFO_DATA, data)
	}
	info()
	b.end(what)
}

// setMaster makes an interface a port of another.
func (b *batch) setMaster(index, master int, what func() string) {
	b.begin(unix.RTM_NEWLINK, 0, ifinfo(index, 0, 0))
	b.u32(unix.IFLA_MASTER, uint32(master))
	b.end(what)
}

// voice is the interface that has the addresses of another: the bridge that it is a port
// of, or the interface itself.
func (s *site) voice(at spot) spot {
	for {
		d := s.device(at)
		if d.Master == "" {
			return at
		}
		master := spot{at.node, d.Master}
		if kind, err := device.Of(s.device(master).Kind); err != nil || !kind.Speaks {
			return at
		}
		at = master
	}
}

// device is the plan of a node's interface.
func (s *site) device(at spot) *topo.DevicePlan {
	return &s.owners[at.node].Devices[s.indexes[at]-firstIndex]
}
