package topo

// KindGeneve is a segment of Network.Geneve.
const KindGeneve Kind = "geneve"

// The headers that Geneve adds (RFC 8926, without options): Ethernet, Geneve, UDP and IP.
const (
	geneveOver4 = 14 + 8 + 8 + 20
	geneveOver6 = 14 + 8 + 8 + 40
)

var geneveOverlay = &overlayKind{
	kind: KindGeneve, what: "VNI", first: 1, last: 1<<24 - 1, overhead: [2]int{geneveOver4, geneveOver6},
	pair: "declare one for each pair of nodes, or a VXLAN", same: sameEnds, plan: (*planner).tunnel,
}

// Geneve declares a segment of frames in UDP packets (RFC 8926, port 6081) between the
// addresses that its two nodes have on another, the underlay. The MTU is the underlay's less 50
// bytes, over IPv6 70.
//
//	core := dc.Switch("core", "10.0.0.0/24")
//	red := dc.Geneve("red", core, 42, "192.168.1.0/24")
//	dc.Host("a", core, red)
//	dc.Host("b", core, red)
func (n *Network) Geneve(name string, underlay *Segment, vni int, prefixes ...string) *Segment {
	return n.overlay(geneveOverlay, name, underlay, vni, prefixes)
}
