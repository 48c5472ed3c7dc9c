package topo

import "slices"

// Node is a host or a router: one network namespace.
type Node struct {
	name     string
	router   bool
	forward  bool
	noRoutes bool
	ports    []Port
	devices  []*Device
	loopback []string
	routes   []Route
	rules    []Rule
	sysctls  []Sysctl
	texts    []ruleText
	network  *Network
	was      bool // of a copy: it is in the plan that is kept
	last     int  // of a copy: the greatest index that an interface had
}

// Name is the node's name.
func (n *Node) Name() string { return n.name }

// RouteType is what a route does with a packet.
type RouteType int

// The types of route (ip-route(8)).
const (
	Unicast     RouteType = iota // hands it on
	Blackhole                    // drops it without a word
	Unreachable                  // drops it, and sends "host unreachable"
	Prohibit                     // drops it, and sends "administratively prohibited"
)

// String is the type's name in ip-route(8).
func (t RouteType) String() string {
	switch t {
	case Blackhole:
		return "blackhole"
	case Unreachable:
		return "unreachable"
	case Prohibit:
		return "prohibit"
	}
	return "unicast"
}

// Route is a route that a node is given besides those that the plan finds.
type Route struct {
	// To is a prefix, "10.1.0.0/16", or "default" (also ""), whose family is Via's;
	// IPv4 without Via.
	To string
	// Via is the gateway's address: on one of the node's segments, or where an
	// earlier route without a gateway leads. Optional.
	Via string
	// Dev is the interface to send on: a segment that the node is on, or a device of its
	// own. Optional with Via, unless that is link-local or on two of the node's segments.
	Dev Interface
	// Type is Unicast unless said otherwise; the others need neither Via nor Dev.
	Type RouteType
	// Table is the routing table, 1 to 2^32-1; 0 is main, and so is 254.
	Table int
	// Metric is the preference, lower first; 0 is the kernel's default.
	Metric int
	// Hops are the ways of a multipath route, two or more, instead of Via and Dev: which
	// is taken is for the kernel's hash of the packet to say.
	Hops []Hop
	// Source is the address that what the node sends by the route has, unless its socket
	// says so: one of the node's. Optional.
	Source string
	// MTU is the greatest packet by this route, in bytes; 0 is the interface's. LockMTU
	// keeps it what it is whatever routers on the way say (ip route ... mtu lock).
	MTU     int
	LockMTU bool
}

// Hop is a way of a multipath route.
type Hop struct {
	Via string    // the gateway's address
	Dev Interface // optional, as a route's
	// Weight is how often it is taken, beside the others': 1 to 256; 0 is 1.
	Weight int
}

// Sysctl is a kernel parameter and its value.
type Sysctl struct {
	// Key has dots: net.ipv4.ip_forward. Where an interface's name has dots of its
	// own, all others are slashes: net/ipv4/conf/eth0.5/rp_filter.
	Key string
	// Value is as in /proc/sys.
	Value string
}

// Route adds routes.
func (n *Node) Route(routes ...Route) *Node {
	for _, route := range routes {
		route.Hops = slices.Clone(route.Hops)
		n.routes = append(n.routes, route)
	}
	return n
}

// NoRoutes keeps the plan from giving the node any route of its own finding.
func (n *Node) NoRoutes() *Node {
	n.noRoutes = true
	return n
}

// NoForward turns forwarding off on a router. Others' routes still lead through
// it, as they would through a box whose forwarding somebody forgot.
func (n *Node) NoForward() *Node {
	n.forward = false
	return n
}

// Loopback adds addresses on the loopback, "192.0.2.1/32". Others get routes to them.
func (n *Node) Loopback(prefixes ...string) *Node {
	n.loopback = append(n.loopback, prefixes...)
	return n
}

// Sysctl sets a parameter of the node's namespace; the key begins with "net.". An
// interface in it is one of the node's own: "net.ipv4.conf.lan.rp_filter".
func (n *Node) Sysctl(key, value string) *Node {
	n.sysctls = append(n.sysctls, Sysctl{key, value})
	return n
}
