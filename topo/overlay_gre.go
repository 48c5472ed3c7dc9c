package topo

import "math"

// KindGRE is a segment of Network.GRE.
const KindGRE Kind = "gre"

// The headers that GRE adds (RFC 2784): GRE and IP; and a key (RFC 2890).
const (
	greOver4 = 4 + 20
	greOver6 = 4 + 40
	greKey   = 4
)

var greOverlay = &overlayKind{
	kind: KindGRE, what: "key", last: math.MaxInt32, overhead: [2]int{greOver4, greOver6}, numbered: greKey, bare: true, same: sameEnds,
	plan: planGRE,
}

// GRE declares a segment of packets in packets (RFC 2784) between the addresses that its nodes
// have on another, the underlay; key tells several apart (RFC 2890), 0 is none. Of two nodes
// each has the other as its remote end. More than two are a mesh (mode gre remote any): each
// is given the others' ends as neighbours, which only GRE over IPv4 can. The MTU is the
// underlay's less 24 bytes, over IPv6 44, and with a key 4 more.
//
//	core := wan.Switch("core", "192.0.2.0/24")
//	mesh := wan.GRE("mesh", core, 7, "10.9.0.0/24")
//	wan.Router("paris", core, mesh, paris)
//	wan.Router("rome", core, mesh, rome)
func (n *Network) GRE(name string, underlay *Segment, key int, prefixes ...string) *Segment {
	return n.overlay(greOverlay, name, underlay, key, prefixes)
}

func planGRE(p *planner, port *DevicePlan, at, below end) {
	p.tunnel(port, at, below)
	if port.Local.Is6() {
		port.Kind = "ip6gre" // what the kernel calls it
	}
	if len(p.endsOf(at)) == 2 || !port.Local.IsValid() {
		return
	}
	if port.Local.Is6() {
		p.wrong("%s: the kernel takes a mesh of GRE over IPv4 alone: give all its nodes IPv4 addresses on the segment below, or declare one for each pair", p.place(at))
	}
	p.mesh(port, at)
}
