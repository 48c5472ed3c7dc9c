package harness

import (
	"encoding/binary"
	"errors"
	"net"
	"reflect"
	"slices"

	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// SetVLANs puts the port of a switch into a VLAN for frames without a tag, 0 for none, and
// has it carry those with the tags of others, as topo's Access and Trunk; with 0 and none
// nothing is chosen of it any more. It returns when a first packet will pass to those that the
// switch lets it talk to then. Addresses and routes stay what they are. A kernel without
// bridge VLAN filtering cannot, which is an error that is errors.ErrUnsupported.
func (p *Port) SetVLANs(access int, trunk ...int) error {
	p, trunk = p.here(), slices.Clone(trunk)
	set := func(n *Node) error { return p.of(n).setVLANs(access, trunk) }
	return p.node.did(set(p.node), set)
}

func (p *Port) setVLANs(access int, trunk []int) error {
	if err := (topo.SwitchPort{Access: access, Trunk: trunk}).CheckVLANs(); err != nil {
		return at(err, "port %s", p.plan.Name)
	}
	err := p.node.lab.setSwitch(spot{p.node.name, p.plan.Name}, func(s *topo.SwitchPort) { s.Access, s.Trunk = access, trunk })
	if err != nil {
		return err
	}
	voice := p.node.lab.now().site.voice(spot{p.node.name, p.plan.Name})
	plan := p.node.planned()
	for i, port := range plan.Ports {
		device := plan.Devices[i]
		if port.Name != p.plan.Name && (device.Kind != vlanKind || device.Parent != voice.port) {
			continue
		}
		up, err := p.node.ground.isUp(device.Index)
		if err == nil && up {
			err = (&Port{node: p.node, index: device.Index, plan: port}).relink()
		}
		if err != nil {
			return at(err, "port %s: wait for the link", port.Name)
		}
	}
	return nil
}

// vlanKind is the kernel's word for an interface that tags.
const vlanKind = "vlan"

// carried are the VLANs of a switch's port: that of frames without a tag, 0 for none, and
// those of frames with one.
type carried struct {
	untagged int
	tagged   []int
}

// flags are those of the kernel's for a VLAN of the port; none where it does not carry it.
func (c carried) flags(id int) (flags uint16, carries bool) {
	const pvid, untagged = 1 << 1, 1 << 2 // BRIDGE_VLAN_INFO_PVID, _UNTAGGED, linux/if_bridge.h
	if id == c.untagged {
		return pvid | untagged, true
	}
	return 0, slices.Contains(c.tagged, id)
}

func (c carried) ids() []int {
	if c.untagged == 0 {
		return c.tagged
	}
	return append([]int{c.untagged}, c.tagged...)
}

// plainly is how ports are that nobody chose VLANs of (vlan_default_pvid).
var plainly = carried{untagged: 1}

// vlansOf are the VLANs of a switch's ports; nil where it keeps none apart.
func vlansOf(plan *topo.Plan, segment *topo.SegmentPlan, chosen func(spot) topo.SwitchPort) map[spot]carried {
	if !segment.Kind.IsSwitch() || !slices.ContainsFunc(segment.Ports, func(ref topo.PortRef) bool { return chosen(spot{ref.Node, ref.Port}).HasVLANs() }) {
		return nil
	}
	all := make(map[spot]carried, len(segment.Ports))
	for _, ref := range segment.Ports {
		node, _ := plan.Node(ref.Node)
		port, _ := node.Port(ref.Port)
		var c carried
		c.untagged, c.tagged = chosen(spot{ref.Node, ref.Port}).Carried(port.Tags)
		all[spot{ref.Node, ref.Port}] = c
	}
	return all
}

// chosen is what was chosen of a switch's port last, and until the lab is up in the declaration.
func (s *site) chosen(at spot) topo.SwitchPort {
	if s.last != nil {
		return s.last(at)
	}
	return declaredEnd(s.plan, at)
}

// giveVLANs has switches keep VLANs apart as it was declared: before anybody asks whether
// the network works, since it must be over them.
func (s *site) giveVLANs() error {
	for i := range s.plan.Segments {
		segment := &s.plan.Segments[i]
		if now := vlansOf(s.plan, segment, s.chosen); now != nil && segment.Kind == topo.KindSwitch {
			if err := s.changeVLANs(segment, nil, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// changeVLANs tells the kernel.
func (s *site) changeVLANs(segment *topo.SegmentPlan, before, now map[spot]carried) error {
	b, bridge := new(batch), s.bridges[segment.Name]
	if before != nil && now == nil {
		b.setFiltering(bridge, false, describe("keep no VLANs apart"))
	}
	of := func(all map[spot]carried, at spot) carried {
		if all == nil {
			return plainly
		}
		return all[at]
	}
	for _, ref := range segment.Ports {
		which := spot{ref.Node, ref.Port}
		was, is := of(before, which), of(now, which)
		for _, id := range was.ids() {
			if _, stays := is.flags(id); !stays {
				b.vlan(unix.RTM_DELLINK, s.outer[which], id, 0, describe("take port %s of node %s out of VLAN %d", ref.Port, ref.Node, id))
			}
		}
		for _, id := range is.ids() {
			flags, _ := is.flags(id)
			if old, had := was.flags(id); !had || old != flags {
				b.vlan(unix.RTM_SETLINK, s.outer[which], id, flags, describe("put port %s of node %s into VLAN %d", ref.Port, ref.Node, id))
			}
		}
	}
	if before == nil && now != nil {
		b.setFiltering(bridge, true, describe("keep VLANs apart"))
	}
	err := s.fabric.rtnl.do(b)
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = missing{noFiltering}
	}
	return at(err, "switch %s", segment.Name)
}

const noFiltering = "bridge VLAN filtering is not in this kernel (CONFIG_BRIDGE_VLAN_FILTERING)"

// setFiltering has a bridge keep VLANs apart, or not.
func (b *batch) setFiltering(bridge int, on bool, what func() string) {
	b.begin(unix.RTM_NEWLINK, 0, ifinfo(bridge, 0, 0))
	info := b.nest(unix.IFLA_LINKINFO)
	b.text(unix.IFLA_INFO_KIND, "bridge")
	data := b.nest(unix.IFLA_INFO_DATA)
	b.attr(unix.IFLA_BR_VLAN_FILTERING, []byte{map[bool]byte{true: 1}[on]})
	data()
	info()
	b.end(what)
}

// vlan is a request about a VLAN of a bridge's port (bridge-vlan(8)).
func (b *batch) vlan(kind uint16, port, id int, flags uint16, what func() string) {
	const bridgeVLAN = 2 // IFLA_BRIDGE_VLAN_INFO, linux/if_bridge.h
	header := ifinfo(port, 0, 0)
	header[0] = unix.AF_BRIDGE
	b.begin(kind, 0, header)
	spec := b.nest(unix.IFLA_AF_SPEC)
	info := binary.NativeEndian.AppendUint16(nil, flags) // struct bridge_vlan_info
	b.attr(bridgeVLAN, binary.NativeEndian.AppendUint16(info, uint16(id)))
	spec()
	b.end(what)
}

// checkFiltering tries whether bridges keep VLANs apart here. One that cannot takes no
// notice of being told to, but refuses VLANs of its ports.
func checkFiltering() error {
	return inTrial(func(handle *netlink.Handle, parent int) error {
		bridge := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
		bridge.Name = "trial"
		if err := handle.LinkAdd(bridge); err != nil {
			return err
		}
		port := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: parent}}
		if err := handle.LinkSetMaster(port, bridge); err != nil {
			return err
		}
		if err := handle.BridgeVlanAdd(port, 100, false, false, false, true); errors.Is(err, unix.EOPNOTSUPP) {
			return missing{noFiltering}
		} else if err != nil {
			return err
		}
		return nil
	})
}

// vlansWith are the VLANs of the ports of a port's switch, if something is chosen of it.
func (l *Lab) vlansWith(which spot, choice topo.SwitchPort) map[spot]carried {
	return vlansOf(l.now().plan, l.switchOf(which), func(other spot) topo.SwitchPort {
		if other == which {
			return choice
		}
		return l.now().site.chosen(other)
	})
}

// switchOf is the segment at whose switch a port is.
func (l *Lab) switchOf(which spot) *topo.SegmentPlan {
	plan := l.now().plan
	node, _ := plan.Node(which.node)
	port, _ := node.Port(which.port)
	segment, _ := plan.Segment(port.Wired())
	return segment
}

// changeVLANs tells the kernel, if anything changes. Entries that stay are of the VLANs that
// the port had when it got them: they are given again.
func (l *Lab) changeVLANs(which spot, before, now map[spot]carried) error {
	if reflect.DeepEqual(before, now) {
		return nil
	}
	segment := l.switchOf(which)
	entries := func(kind, flags uint16) *batch {
		b := new(batch)
		for _, ref := range segment.Ports {
			port := spot{ref.Node, ref.Port}
			for _, mac := range l.now().site.chosen(port).Static {
				b.static(kind, flags, l.now().site.outer[port], mac, describe("static entry %s", net.HardwareAddr(mac[:])))
			}
		}
		return b
	}
	if err := l.now().fabric.rtnl.do(entries(unix.RTM_DELNEIGH, 0)); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	err := l.now().site.changeVLANs(segment, before, now)
	return errors.Join(err, l.now().fabric.rtnl.do(entries(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)))
}

// plainly is the first port of a switch that hears those of which no VLAN was chosen; -1
// for none.
func (l *Lab) plainly(segment *topo.SegmentPlan) int {
	vlans := vlansOf(l.now().plan, segment, l.now().site.chosen)
	return slices.IndexFunc(segment.Ports, func(ref topo.PortRef) bool {
		return vlans == nil || vlans[spot{ref.Node, ref.Port}].untagged == plainly.untagged
	})
}
