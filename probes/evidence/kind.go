package evidence

// Kind is what stopped a packet, in one word, as a matrix has it: drop@fw.
type Kind string

// The kinds of cause. Whether somebody wants it so is Cause.Policy.
const (
	Drop         Kind = "drop"        // a rule or a chain's policy dropped it
	Reject       Kind = "reject"      // a rule dropped it and said so
	Blackhole    Kind = "blackhole"   // a blackhole route
	Unreachable  Kind = "unreachable" // an unreachable route
	Prohibit     Kind = "prohibit"    // a prohibit route
	NoForward    Kind = "noforward"   // a router whose forwarding is off
	NoRoute      Kind = "noroute"     // no route leads there; a policy where somebody took it away, or wants none
	FlowDrop     Kind = "flow"        // a flow of an Open vSwitch dropped it, or sent it elsewhere
	PortIsolated Kind = "isolated"    // two isolated ports of a bridge
	PortLocked   Kind = "locked"      // a locked port of a switch, which has no entry for the sender
	PortVLAN     Kind = "vlan"        // a bridge's VLAN filter: the two ports are in different VLANs, or the tag is none of the port's
	NotFlooded   Kind = "notflooded"  // a switch has no entry for the MAC, and floods nothing there; a policy where it learns none either
	NoPath       Kind = "nopath"      // no chain of links joins the two
	XFRM         Kind = "xfrm"        // a policy of xfrm (IPsec) that blocks
	Filter       Kind = "filter"      // a filter of tc dropped it; a policy where that drops whatever comes

	NotRouter    Kind = "notrouter"    // a host that others take for their gateway
	Loop         Kind = "loop"         // a route leads back to where the packet came from
	LinkDown     Kind = "linkdown"     // an interface is down
	NoCarrier    Kind = "nocarrier"    // the other end of a link is down
	Tentative    Kind = "tentative"    // an IPv6 address that is not settled
	NoAddress    Kind = "noaddress"    // nobody has the address
	PortState    Kind = "portstate"    // a bridge's port that does not forward yet, or no more (STP)
	Tag          Kind = "tag"          // a frame with the tag of a VLAN that no interface there is of
	Neighbour    Kind = "neighbour"    // nobody answers for the address on the link
	Queue        Kind = "queue"        // a queue of an interface (tc) dropped it
	Queued       Kind = "queued"       // it waits in a queue of an interface (tc), and may come later
	Parted       Kind = "parted"       // the lab is cut there by Lab.Partition
	Lost         Kind = "lost"         // netem lost it
	XDP          Kind = "xdp"          // an XDP program took it
	Conntrack    Kind = "conntrack"    // connection tracking could not take it
	NoReader     Kind = "noreader"     // a rule gave it to a queue that no program reads
	Tunnel       Kind = "tunnel"       // what carries it was lost, or the tunnel's two ends do not fit
	NoHandshake  Kind = "nohandshake"  // a peer of WireGuard does not answer
	NotAllowed   Kind = "notallowed"   // WireGuard allows no peer the address
	MTU          Kind = "mtu"          // the packet is too large
	TTL          Kind = "ttl"          // the TTL expired
	RPFilter     Kind = "rpfilter"     // the source may not come in there
	NoConnection Kind = "noconnection" // a segment of TCP that is of no connection
	NoListener   Kind = "nolistener"   // nobody has the port
	Backlog      Kind = "backlog"      // the listener's queue is full
	NotTaken     Kind = "nottaken"     // the socket that it was for dropped it
	NoAnswer     Kind = "noanswer"     // delivered to a program, which said nothing
	Ignored      Kind = "ignored"      // echo requests are ignored
	WrongMAC     Kind = "wrongmac"     // sent to a MAC that nobody on the link has
	OtherAddr    Kind = "otheraddr"    // the answer came from where it was not asked
	Martian      Kind = "martian"      // a source that nobody outside may have, or loopback addresses
	Untranslated Kind = "untranslated" // the answer to a translated request, whose translation nobody undid
	Conflict     Kind = "conflict"     // another node has the address as well, and took it
	Unknown      Kind = "unknown"      // what was seen does not account for it
)
