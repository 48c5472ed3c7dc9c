package topo

// KindSIT is a segment of Network.SIT.
const KindSIT Kind = "sit"

var sitOverlay = &overlayKind{
	kind: KindSIT, overhead: [2]int{20, 0}, bare: true, over: onlyIPv4, carries: onlyIPv6, // RFC 4213
	pair: "declare one for each pair of nodes, or a GRE", same: sameEnds, plan: (*planner).tunnel,
}

// SIT declares a segment of IPv6 in IPv4 (RFC 4213, 6in4) between the addresses that its two
// nodes have on another, the underlay. The MTU is the underlay's less 20 bytes.
func (n *Network) SIT(name string, underlay *Segment, prefixes ...string) *Segment {
	return n.overlay(sitOverlay, name, underlay, 0, prefixes)
}
