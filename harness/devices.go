package harness

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness/internal/device"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// made are the interfaces of a node that are no ends of a pair, each after those that it is
// made on.
func made(node *topo.NodePlan) (order []*topo.DevicePlan) {
	done := map[string]bool{}
	for _, d := range node.Devices {
		done[d.Name] = d.Kind == topo.PortKind
	}
	for more := true; more; {
		more = false
		for i := range node.Devices {
			if d := &node.Devices[i]; !done[d.Name] && (d.Parent == "" || done[d.Parent]) {
				order, done[d.Name], more = append(order, d), true, true
			}
		}
	}
	return order
}

// addDevices makes the interfaces of a node that are no ends of a pair, and interfaces the
// ports of others. It returns the order in which they were made.
func (s *site) addDevices(b *batch, node *topo.NodePlan) ([]*topo.DevicePlan, error) {
	if !slices.ContainsFunc(node.Devices, func(d topo.DevicePlan) bool { return d.Kind != topo.PortKind }) {
		return nil, nil
	}
	order, kinds, vrfs := made(node), map[string]*device.Kind{}, false
	for _, d := range order {
		kind, err := device.Of(d.Kind)
		if err != nil {
			return nil, err
		}
		kinds[d.Name], vrfs = kind, vrfs || d.Table != 0
		if err := s.grounds[node.Name].makeTuns(d); err != nil {
			return nil, err
		}
		b.addDevice(d, kind, s.indexes[spot{node.Name, d.Parent}], describe("make %s %s", d.Kind, d.Name))
		if kind.Flood {
			for _, remote := range d.Remotes {
				b.addFlood(d.Index, remote, describe("%s: send what is for all to %s", d.Name, remote))
			}
		}
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
	if vrfs {
		b.askVRFsFirst(!noIPv6())
	}
	return order, nil
}

// askVRFsFirst moves the rule for the table local behind that for VRFs, which the kernel
// made with the first one: else what comes in at a VRF's port would be delivered to the
// addresses of the rest of the node (Documentation/networking/vrf.rst).
func (b *batch) askVRFsFirst(v6 bool) {
	const afterVRFs = 1001 // theirs is 1000 (FIB_RULE_PREF of net/core/fib_rules.c: l3mdev)
	for _, ipv6 := range []bool{false, true} {
		if ipv6 && !v6 {
			continue
		}
		local := topo.RulePlan{IPv6: ipv6, Priority: afterVRFs, Table: unix.RT_TABLE_LOCAL, SuppressPrefixLength: -1}
		b.addRule(local, describe("ask VRFs first: add rule %s", local))
		local.Priority = 0
		b.delRule(local, describe("ask VRFs first: delete rule %s", local))
	}
}

// addDevice makes an interface.
func (b *batch) addDevice(d *topo.DevicePlan, kind *device.Kind, parent int, what func() string) {
	if kind.Opens != 0 {
		b.setTun(d, what)
		return
	}
	b.begin(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, ifinfo(d.Index, 0, 0))
	b.text(unix.IFLA_IFNAME, d.Name)
	if d.MAC != [6]byte{} {
		b.attr(unix.IFLA_ADDRESS, d.MAC[:])
	}
	if d.MTU != 0 {
		b.u32(unix.IFLA_MTU, uint32(d.MTU))
	}
	if kind.Stacked {
		b.u32(unix.IFLA_LINK, uint32(parent))
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

// addFlood adds an entry to the interface's forwarding table for what is for all: the MAC
// of zeros (bridge-fdb(8)).
func (b *batch) addFlood(index int, to netip.Addr, what func() string) {
	b.flood(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_APPEND, index, to, what)
}

// delFlood takes one away.
func (b *batch) delFlood(index int, to netip.Addr, what func() string) {
	b.flood(unix.RTM_DELNEIGH, 0, index, to, what)
}

func (b *batch) flood(kind, flags uint16, index int, to netip.Addr, what func() string) {
	header := make([]byte, unix.SizeofNdMsg)
	header[0], header[10] = unix.AF_BRIDGE, unix.NTF_SELF
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	binary.NativeEndian.PutUint16(header[8:], unix.NUD_PERMANENT)
	b.begin(kind, flags, header)
	b.attr(unix.NDA_LLADDR, make([]byte, 6))
	b.addr(unix.NDA_DST, to)
	b.end(what)
}

// addEntries gives an interface the neighbours that it is told of. It is up: when it goes down
// it forgets them.
func (b *batch) addEntries(d *topo.DevicePlan) {
	for _, n := range d.Neighbours {
		b.addEntry(d.Index, n.Addr, n.End.AsSlice(), describe("%s: set neighbour %s at %s", d.Name, n.Addr, n.End))
	}
}

// addEntry gives an interface a neighbour for good.
func (b *batch) addEntry(index int, addr netip.Addr, at []byte, what func() string) {
	header := make([]byte, unix.SizeofNdMsg)
	header[0] = family(addr)
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	binary.NativeEndian.PutUint16(header[8:], unix.NUD_PERMANENT)
	b.begin(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, header)
	b.addr(unix.NDA_DST, addr)
	b.attr(unix.NDA_LLADDR, at)
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
	devices := s.owners[at.node].Devices
	if i := s.indexes[at] - firstIndex; i >= 0 && i < len(devices) && devices[i].Name == at.port {
		return &devices[i]
	}
	for i := range devices { // indexes have gaps where the lab was changed
		if devices[i].Name == at.port {
			return &devices[i]
		}
	}
	return &topo.DevicePlan{}
}
