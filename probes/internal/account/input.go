package account

import (
	"net/netip"
	"time"
)

// Input is all that was seen of one probe's packets. A node is known by its label,
// which is unique in a watch. Only what belongs to the probe is in it.
type Input struct {
	// Asker and Target are labels; Target is "" when an address is asked, and no node.
	// Then Owners are the nodes that have it, to the best of what is known.
	Asker, Target string
	Owners        []string
	// Way are the nodes that the plan leads a request by, from the asker to the
	// target; nil when it has none.
	Way []string
	// Sent is how many requests the asker's kernel took: calls of send that did not
	// fail, and TCP's retransmissions where they are known. 0 is unknown.
	Sent int
	// Nodes are the watched nodes.
	Nodes map[string]Node
	// Links are the interfaces of nodes, in any order: of those that are not watched
	// only what is at a segment of the plan.
	Links map[string][]Link
	// Sightings are what taps saw. Those of one node are in the order of its tap;
	// between nodes the order does not matter.
	Sightings []Sighting
	// Records are what rules saw, those of one node in the order of each packet's
	// first event.
	Records []Record
	// Lost says what was not seen for want of space; "" when nothing was lost.
	Lost string
}

// Node is what is known of a watched node.
type Node struct {
	// Traced is true when the watch has a chain at every hook of family inet: a packet
	// that no record tells of did not come to the rules.
	Traced bool
	// Opaque says why a copy might be made there that nothing tells of: "its rules are
	// not traced" of an attached namespace, "iptables-legacy has a TEE rule". "" is
	// neither: a node without rules makes none.
	Opaque string
}

// Link is an interface of a node.
type Link struct {
	Index int
	Name  string
	// Segment is the link of the plan that it is at, unique in the watch; "" of
	// interfaces that nodes have for themselves: lo, bridges, VLANs, tunnels.
	Segment string
	// Outside is true where others are at that link as well, who are not watched.
	Outside bool
	// Master is the index of the bridge, bond or VRF that it belongs to; 0 for none.
	Master int
	// Lower is the index of the interface that a VLAN, macvlan or ipvlan is on; 0 for
	// none, and where it is in another namespace.
	Lower int
	// Bridge, Tunnel and Loopback say what it is; at most one holds. A tunnel's packets
	// travel inside others, which are not recognized as the probe's: wg, gre, vxlan.
	Bridge, Tunnel, Loopback bool
}

// Role is what a packet is to a probe.
type Role int

// The roles.
const (
	Request Role = iota + 1 // the probe itself
	Answer                  // an echo reply, a datagram back, a SYN,ACK
	Refusal                 // a reset, or an ICMP error about the request
	Undone                  // an ICMP error about the answer, on its way to who answered
)

// String is the role in a word.
func (r Role) String() string {
	switch r {
	case Request:
		return "request"
	case Answer:
		return "answer"
	case Refusal:
		return "refusal"
	case Undone:
		return "error about the answer"
	}
	return "nothing"
}

// Direction is a packet's at an interface.
type Direction int

// The directions.
const (
	In  Direction = iota + 1 // before the node's rules
	Out                      // handed to the driver, after rules and queues
)

// Tuple is where a packet comes from and goes to; the ports of an ICMP echo are its
// identifier and sequence number, of other ICMP 0.
type Tuple struct{ Source, Destination netip.AddrPort }

// Header is what tells a probe's packets apart.
type Header struct {
	Tuple
	// TTL is its time to live, or hop limit; 0 is unknown.
	TTL int
	// Length is the IP packet's, in bytes; 0 is unknown.
	Length int
	// Identity is the same for a packet and its copies along the whole way, and another
	// for a retransmission: the IP header's identification, and for TCP the timestamp
	// option's value mixed with it. 0 is unknown.
	Identity uint64
	// Piece is a fragment's; the zero Piece is a whole packet's.
	Piece Piece
}

// Piece is where a fragment is in the packet that it is of.
type Piece struct {
	// Offset and Size are its bytes of what the packet carries.
	Offset, Size int
	// More is true of all but the last.
	More bool
	// Head is how many bytes the packet has besides.
	Head int
}

// is says whether it is a fragment's.
func (p Piece) is() bool { return p != Piece{} }

// Sighting is a packet seen by a tap.
type Sighting struct {
	At        time.Time
	Node      string
	Index     int // of the interface
	Direction Direction
	Role      Role
	// Foreign is true when the frame was addressed to another host's MAC, as most are
	// that come to a bridge's port.
	Foreign bool
	// Group is true when the frame was a broadcast, or to a group's MAC.
	Group bool
	Header
}

// Layer is the family of hooks that a record is of.
type Layer int

// The layers.
const (
	IP     Layer = iota // inet, ip and ip6
	Bridge              // bridge
	Device              // netdev, and inet's ingress
)

// Hook is a place in the kernel where rules stand.
type Hook int

// The hooks, in the order in which a packet passes them.
const (
	IngressHook Hook = iota + 1
	PreroutingHook
	InputHook
	ForwardHook
	OutputHook
	PostroutingHook
	EgressHook
)

// Record is one packet in the hands of one node's rules: what the events of one
// trace id tell. A packet that passes two layers has a record in each. An id that comes to
// its first hook again (the kernel reuses them) is another record.
type Record struct {
	Node  string
	ID    uint32 // the kernel's; 0 where it gives none (iptables-legacy)
	Layer Layer
	Role  Role
	// In is the incoming interface's index, 0 for what the node itself sends; Out is
	// the outgoing one's at the last hook that has one, or 0.
	In, Out int
	// Hooks are those it came to, in order. Of input and postrouting it must have come to
	// the end: the watch's own chain there is the last.
	Hooks []Hook
	// Before is the packet at the first of them, After at the last that showed it.
	Before, After Header
	// Drop is what dropped it; nil when nothing did.
	Drop *Rule
	// Took is what took it out of the rules' hands otherwise, and By the rule: "queue"
	// (to a program, or none), "stolen" (fwd, synproxy). Both are "" and nil when it passed.
	Took string
	By   *Rule
	Mark uint32
	// Gathered is true of a packet that the kernel put together there, of fragments that have
	// records of their own.
	Gathered bool

	of []int // the places of those that it was joined from; nil of one by itself
}

// Rule is what had a verdict: a rule, or a chain's policy when Handle is 0.
type Rule struct {
	Family, Table, Chain string
	Handle               uint64
	// Text is what is printed of it; "" where it was not read.
	Text string
}
