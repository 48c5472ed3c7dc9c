// Package topo says what a network is. A declaration is a pure value: it is
// written in Go, checked, and planned, on any operating system and without a
// kernel. Package harness makes a plan real.
//
//	office := topo.New("office")
//	lan := office.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
//	dmz := office.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
//	office.Host("client", lan)
//	office.Host("server", dmz.At("10.0.2.80"))
//	office.Router("fw", lan, dmz)
//	fmt.Println(office)
//
// # Names
//
// A node's or a segment's name is up to 63 bytes long (RFC 1123), without white
// space; it may have slashes: "tenant-3/server". An interface is named after the
// last part of its segment's name, in 15 bytes; two of a node that would be
// called the same, or lo, all or default, get -2, -3 and so on, in order of
// declaration.
//
// # Addresses
//
// Every port gets an address of each prefix of its segment, in order of
// declaration, node by node; chosen ones are left out of the count. IPv4 counts
// from the network address plus one and stops before the broadcast address (a
// /31 has neither, RFC 3021); IPv6 counts from one (zero is the routers' anycast
// address, RFC 4291; a /127 has both, RFC 6164).
//
// # Routes
//
// Every node gets a route to every prefix of a segment, and to every address on
// a loopback, that it can reach over routers, by the fewest hops; of equal ways
// the one declared first. A host whose ways of one family all begin at the same
// router gets a default route instead. A router that was told not to forward
// still counts as one.
//
// Prefixes may overlap, and be the same. Where a node could take one for
// another it gets a route to neither, and the plan's Notes say so; a route that
// the declaration gives it settles which is meant.
//
// # Ports of switches
//
// Of a switch's end of a port may be chosen what bridge(8) calls isolated, locked, learning,
// flood and static entries:
//
//	network.Host("guest", lan.Isolated())
//	network.Host("printer", lan.Locked().Static()) // its own MAC alone
//
// # Devices
//
// A port's interface may be given any name (Segment.As), and a node has interfaces of its
// own: Bridge, Bond, VRF, Dummy, Tun, Tap. A bridge joins the segments of its ports: prefixes of one
// are for all, and what addresses the ports have are the bridge's; so with a bond. A VRF is
// routed by itself: no route leads from one to another that the declaration does not give.
// VXLAN, VLAN, MACVLAN, IPVLAN, Geneve, GRE, IPIP, SIT and WireGuard are segments over another, on
// which their nodes have a port too.
// NodePlan.Devices has all interfaces, the ports first.
//
// # Mistakes
//
// Declaring never fails. Validate finds everything that is wrong in one go; each
// mistake names the node and the segment and says what to do. What only looks
// like one has a word of its own: Duplicate for an address or a MAC that is on a
// segment twice, Also for an address outside its prefixes, NoAddress for a port
// without.
package topo
