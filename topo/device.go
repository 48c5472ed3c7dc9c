package topo

import "net/netip"

// Device is an interface of a node's own, besides its ports.
type Device struct {
	kind  *deviceKind
	name  string
	ports []Interface
	addrs []string
	mac   string
	mtu   int
	table int
	mode  BondMode
	held  *held // of a copy
}

// DevicePlan is an interface of a node.
type DevicePlan struct {
	Name string
	// Kind is the kernel's word for what it is: veth (a port on a wire or a switch), vlan, vxlan, gre
	// and so on (ports on such segments), bridge, bond, vrf, dummy, tun, tap.
	Kind string
	// Index is the interface's in its namespace; the ports are the first, from FirstIndex, but for
	// those that were added to a lab that was up.
	Index int
	// Segment is that of a port. A bridge or a bond, which take over the addresses of
	// their ports, are on that of the first one.
	Segment string
	// Master is the interface that this one is a port of.
	Master string
	MAC    [6]byte // zero: the kernel's choice
	MTU    int     // bytes; 0 is 1,500
	Addrs  []netip.Prefix
	// Parent is the interface that this one is made on, and ID the number by which it is
	// told from others there: a VLAN's, a VXLAN's, a key of GRE; 0 is none.
	Parent string
	ID     int
	// Local and Remotes are the ends of a tunnel: this one's, and those of the others on
	// its segment.
	Local   netip.Addr
	Remotes []netip.Addr
	// Neighbours are entries that the interface is given, on a link where nobody is asked.
	Neighbours []NeighbourPlan
	Table      int    // of a VRF
	Mode       string // of a bond, in the kernel's words
	// WireGuard are the key and the peers of a port on such a segment; nil of others.
	WireGuard *WireGuardPlan
}

// NeighbourPlan is an address on a link, and the end of the tunnel that leads there.
type NeighbourPlan struct{ Addr, End netip.Addr }

// Address gives the device addresses with their prefix lengths: "10.0.1.1/24". Others
// get no routes to them.
func (d *Device) Address(prefixes ...string) *Device {
	d.addrs = append(d.addrs, prefixes...)
	return d
}

// MAC chooses the device's MAC, "02:00:00:00:00:01". Without it the plan makes one up
// from the names.
func (d *Device) MAC(mac string) *Device {
	d.mac = mac
	return d
}

// MTU sets the greatest packet, in bytes; without it 1,500, or of a bridge the least of
// its ports.
func (d *Device) MTU(bytes int) *Device {
	d.mtu = bytes
	return d
}

// device declares one on a node.
func (n *Node) device(kind *deviceKind, name string, ports []Interface) *Device {
	d := &Device{kind: kind, name: name, ports: append([]Interface(nil), ports...)}
	n.devices = append(n.devices, d)
	return d
}

// deviceKind is all that is known of a kind of device: a row, a file each.
type deviceKind struct {
	name  string // the kernel's word
	least int    // how many ports it must have
	takes bool   // whether it can have any
	// joins says that its ports are one link: the device takes over what addresses they
	// have, and their segments are one broadcast domain.
	joins bool
	// mac says whether it has one.
	mac bool
	// bare says that it carries no frames but packets.
	bare bool
	// check reads what only this kind has; nil for nothing.
	check func(p *planner, where string, at end, d *Device)
}
