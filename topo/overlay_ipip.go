package topo

// KindIPIP is a segment of Network.IPIP.
const KindIPIP Kind = "ipip"

var ipipOverlay = &overlayKind{
	kind: KindIPIP, overhead: [2]int{20, 0}, bare: true, over: onlyIPv4, carries: onlyIPv4, // RFC 2003
	pair: "declare one for each pair of nodes, or a GRE", same: sameEnds, plan: (*planner).tunnel,
}

// IPIP declares a segment of IPv4 in IPv4 (RFC 2003) between the addresses that its two nodes
// have on another, the underlay. The MTU is the underlay's less 20 bytes.
func (n *Network) IPIP(name string, underlay *Segment, prefixes ...string) *Segment {
	return n.overlay(ipipOverlay, name, underlay, 0, prefixes)
}
