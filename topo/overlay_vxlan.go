package topo

// KindVXLAN is a segment of Network.VXLAN.
const KindVXLAN Kind = "vxlan"

// The headers that VXLAN adds (RFC 7348): Ethernet, VXLAN, UDP and IP.
const (
	vxlanOver4 = 14 + 8 + 8 + 20
	vxlanOver6 = 14 + 8 + 8 + 40
)

var vxlanOverlay = &overlayKind{
	kind: KindVXLAN, what: "VNI", first: 1, last: 1<<24 - 1, overhead: [2]int{vxlanOver4, vxlanOver6}, numbers: true,
	// whatever is below (vxlan_vni_in_use of the kernel)
	same: func(a, b *DevicePlan) bool { return a.ID == b.ID && a.Local.IsValid() && b.Local.IsValid() },
	plan: (*planner).tunnel,
}

// VXLAN declares a segment of frames in UDP packets (RFC 7348, port 4789) between the
// addresses that its nodes have on another, the underlay. Each sends what is for all to
// every other; the MTU is the underlay's less 50 bytes, over IPv6 70.
//
//	core := dc.Switch("core", "10.0.0.0/24")
//	red := dc.VXLAN("red", core, 42, "192.168.1.0/24")
//	dc.Host("a", core, red)
//	dc.Host("b", core, red)
func (n *Network) VXLAN(name string, underlay *Segment, vni int, prefixes ...string) *Segment {
	return n.overlay(vxlanOverlay, name, underlay, vni, prefixes)
}
