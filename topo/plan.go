package topo

import (
	"net/netip"
	"slices"
)

// Plan is what a declaration comes to: names, addresses and routes, computed
// without a kernel. The same declaration gives the same plan, always.
type Plan struct {
	Name     string
	Segments []SegmentPlan
	Nodes    []NodePlan
	// Notes are what the plan left out and why: routes to prefixes that a node
	// could take for one another. They say as well where a node's own overlap.
	Notes []string

	index *index
}

// SegmentPlan is a segment with its ports.
type SegmentPlan struct {
	Name     string
	Kind     Kind
	Prefixes []netip.Prefix // masked, in order of declaration
	MTU      int            // bytes; 0 is 1,500
	Over     string         // the segment that it is made over
	Routed   bool           // some of its ends are elsewhere, and what carries them passes routers
	ID       int            // a VLAN's number, a VXLAN's, a key of GRE
	Bridge   string         // a switch's interface in the lab's fabric namespace, or its name as Open vSwitch has it
	Ports    []PortRef      // in order of declaration
	Flows    []string       // of an Open vSwitch, in ovs-ofctl's words, in order of declaration
	Patches  []PatchPlan    // of an Open vSwitch
}

// PortRef names a port.
type PortRef struct {
	Node  string
	Port  string // the interface in the node
	Outer string // a switch's end of the pair, unique in the fabric
}

// NodePlan is a node with all it is given.
type NodePlan struct {
	Name string
	// Router says whether it was declared as one; Forward, whether it forwards: not
	// one with NoForward.
	Router, Forward bool
	// NoRoutes says that it was declared to get no routes of the plan's finding.
	NoRoutes bool
	Ports    []PortPlan
	// Devices are all interfaces in the order in which they are made: the ports, then
	// devices of the node's own.
	Devices  []DevicePlan
	Loopback []netip.Prefix // addresses on lo
	Routes   []RoutePlan
	// Rules are those of policy routing, besides the kernel's own.
	Rules   []RulePlan
	Sysctls []Sysctl
	// Rulesets are in order of declaration, in which they are loaded.
	Rulesets []Ruleset
}

// PortPlan is a port: an interface of a node.
type PortPlan struct {
	Segment string
	Name    string // the interface's name
	MAC     [6]byte
	MTU     int            // bytes; 0 is 1,500
	Addrs   []netip.Prefix // addresses with their prefix lengths, the primary ones first
	Switch  SwitchPort     // what was chosen of a switch's end
	// Over is the switch of an access port that is on a VLAN, the Segment; "" of others.
	Over string
	// Sends is what happens to what the node sends there, and Receives what does to what comes
	// from a switch; on a wire that is what the other end sends.
	Sends, Receives Impairment
	// ReceivesFrom is instead of Receives what happens to what comes from those ports of the switch.
	ReceivesFrom []PairPlan
	// NoOffload says that the kernel puts whole checksums into what the node sends there.
	NoOffload bool
	// Tags are the VLANs of segments over the switch that the node is on by this port.
	Tags []int
}

// RoutePlan is a route.
type RoutePlan struct {
	Type   RouteType
	To     netip.Prefix // 0.0.0.0/0 or ::/0 is the default route
	Via    netip.Addr   // the gateway; the zero Addr for none
	Dev    string       // the port's interface; may be ""
	Table  int          // 0 is main
	Metric int
	Hops   []HopPlan  // of a multipath route, which has neither Via nor Dev
	Source netip.Addr // the zero Addr for none
	MTU    int        // bytes; 0 is the interface's
	// LockMTU keeps the MTU what it is, whatever routers on the way say.
	LockMTU bool
	Auto    bool // found by the plan rather than declared
}

// Ruleset is a text of rules.
type Ruleset struct {
	// Loader is nft, ipset, or iptables or ip6tables, with a Backend behind it or not: nft -f, ipset
	// restore and the others' -restore read it.
	Loader string
	Text   string
	Auto   bool // made by the plan, of a NAT, rather than declared as text
}

// HopPlan is a way of a multipath route.
type HopPlan struct {
	Via    netip.Addr
	Dev    string
	Weight int // 1 to 256
}

// here is the plan, and one without anything in the place of none: a Network with mistakes has
// none, and Node and Segment find none of a name that is wrong.
func (p *Plan) here() *Plan {
	if p == nil {
		return &Plan{}
	}
	return p
}

func (n *NodePlan) here() *NodePlan {
	if n == nil {
		return &NodePlan{}
	}
	return n
}

// Node is the node of that name.
func (p *Plan) Node(name string) (*NodePlan, bool) {
	p = p.here()
	if p.index != nil {
		if i, ok := p.index.nodes[name]; ok {
			return &p.Nodes[i], true
		}
		return nil, false
	}
	for i := range p.Nodes {
		if p.Nodes[i].Name == name {
			return &p.Nodes[i], true
		}
	}
	return nil, false
}

// Segment is the segment of that name.
func (p *Plan) Segment(name string) (*SegmentPlan, bool) {
	p = p.here()
	for i := range p.Segments {
		if p.Segments[i].Name == name {
			return &p.Segments[i], true
		}
	}
	return nil, false
}

// Link is the broadcast domain that a segment is in: the name of the first of those that
// bridges of nodes join to it, or its own.
func (p *Plan) Link(segment string) string {
	if p.here().index == nil {
		return segment
	}
	if i, ok := p.index.segments[segment]; ok {
		return p.Segments[p.index.leader(i)].Name
	}
	return segment
}

// HasIPv4 says whether the node has an IPv4 address.
func (n *NodePlan) HasIPv4() bool { _, ok := n.here().first(false); return ok }

// HasIPv6 says whether the node has an IPv6 address.
func (n *NodePlan) HasIPv6() bool { _, ok := n.here().first(true); return ok }

// Port is the port whose interface has that name.
func (n *NodePlan) Port(name string) (*PortPlan, bool) {
	n = n.here()
	at := slices.IndexFunc(n.Ports, func(p PortPlan) bool { return p.Name == name })
	if at < 0 {
		return nil, false
	}
	return &n.Ports[at], true
}

// Device is the interface of that name.
func (n *NodePlan) Device(name string) (*DevicePlan, bool) {
	n = n.here()
	at := slices.IndexFunc(n.Devices, func(d DevicePlan) bool { return d.Name == name })
	if at < 0 {
		return nil, false
	}
	return &n.Devices[at], true
}

// ownDevices are the interfaces that are no ports.
func (n *NodePlan) ownDevices() []DevicePlan {
	if len(n.Devices) < len(n.Ports) { // of a plan that was put together by hand
		return nil
	}
	return n.Devices[len(n.Ports):]
}

// eachAddr calls f for the addresses of the interfaces, then of the loopback.
func (n *NodePlan) eachAddr(f func(netip.Prefix)) {
	for i := range n.Devices {
		for _, prefix := range n.Devices[i].Addrs {
			f(prefix)
		}
	}
	if n.Devices == nil { // of a plan that was put together by hand
		for i := range n.Ports {
			for _, prefix := range n.Ports[i].Addrs {
				f(prefix)
			}
		}
	}
	for _, prefix := range n.Loopback {
		f(prefix)
	}
}

// Owners are the names of the nodes that have the address, in order of
// declaration; more than one where addresses overlap.
func (p *Plan) Owners(addr netip.Addr) []string {
	p = p.here()
	x := p.index
	if x == nil {
		x = new(index)
	}
	var owners []string
	for _, i := range x.ownersOf(p, addr.Unmap().WithZone("")) {
		owners = append(owners, p.Nodes[i].Name)
	}
	return owners
}
