package topo

// KindVLAN is a segment of Network.VLAN.
const KindVLAN Kind = "vlan"

var vlanOverlay = &overlayKind{
	kind: KindVLAN, what: "VLAN", first: 1, last: lastVLAN, frames: true, numbers: true,
	same: func(a, b *DevicePlan) bool { return a.ID == b.ID && a.Parent == b.Parent }, plan: func(*planner, *DevicePlan, end, end) {},
}

// VLAN declares a segment of frames with a tag (IEEE 802.1Q) on another, the trunk: those
// who attach to it tag themselves, and have a port on the trunk as well. Who does not tag has
// a port of the trunk with Access, where that is a switch.
//
//	trunk := office.Switch("trunk")
//	red := office.VLAN("red", trunk, 100, "10.0.1.0/24")
//	office.Router("r", trunk.NoAddress(), red)
func (n *Network) VLAN(name string, trunk *Segment, id int, prefixes ...string) *Segment {
	return n.overlay(vlanOverlay, name, trunk, id, prefixes)
}
