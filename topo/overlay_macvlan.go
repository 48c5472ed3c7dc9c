package topo

// KindMACVLAN is a segment of Network.MACVLAN.
const KindMACVLAN Kind = "macvlan"

var macvlanOverlay = &overlayKind{kind: KindMACVLAN, joins: true, frames: true, plan: func(p *planner, _ *DevicePlan, at, below end) { p.checkShared(at, below) }}

// MACVLAN declares a second interface, of a MAC of its own, at the ports that its nodes
// have on another segment (in mode bridge). It is one broadcast domain with that one: both
// have the prefixes of both. A node's port and its macvlan do not reach each other.
func (n *Network) MACVLAN(name string, over *Segment, prefixes ...string) *Segment {
	return n.overlay(macvlanOverlay, name, over, 0, prefixes)
}
