package verdict

import (
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// Heard is the prober's own view of how the probe ended.
type Heard struct {
	// Answered is true when an answer came.
	Answered bool
	// Read is true when a program was seen to read such a request, and nothing came back.
	Read bool
	// Untaken says why the socket that a request was for was seen to drop it; "" where none was.
	Untaken string
	// Queue is an interface whose queue was seen to drop such a packet; the zero End is none.
	Queue End
	// QueueKind is the kind of queueing discipline that was; "" where that is not known.
	QueueKind string
	// Waited is true where the probe's bound is over, and what a queue holds may be a packet of it.
	Waited bool
	// Chance is true where nothing else accounts for the end than a loss by chance.
	Chance bool
	// Tracking is where connection tracking was seen to drop such a packet, and why.
	Tracking Tracking
	// Filter is a filter of tc that was seen to drop such a packet; the zero Filter is none.
	Filter Filter
	// Flowed is what an Open vSwitch was seen to do with such a packet.
	Flowed Flowed
	// Connected is true when a connection was made, and nothing came of it.
	Connected bool
	// Errno is the error of connect, send or the socket; 0 for none.
	Errno unix.Errno
	// ICMP is true when an ICMP error is behind it, of that Type and Code.
	ICMP       bool
	Type, Code uint8
	// Refuser is the node whose refusal came back; "" where none did, or that is not known.
	Refuser string
}

// Filter is a filter of tc at an interface, or those of one direction there.
type Filter struct {
	At        End
	Direction evidence.Direction
	// Words are what tc says of them.
	Words string
	// All is true of one that drops whatever comes.
	All bool
}

// End is a node's end of a link.
type End struct{ Node, Interface string }

// PortState is what a node's end of a link is meant to have.
type PortState struct {
	End
	Addrs []netip.Prefix
	// Routes are the destinations that are meant to be reached over it.
	Routes []netip.Prefix
}

// address is the address that the port is meant to have, with its prefix.
func (p PortState) address(addr netip.Addr) (netip.Prefix, bool) {
	at := slices.IndexFunc(p.Addrs, func(prefix netip.Prefix) bool { return prefix.Addr() == addr })
	if at < 0 {
		return netip.Prefix{}, false
	}
	return p.Addrs[at], true
}

// Declared is what a node was declared to be, and what was taken from it since through
// its lab: what somebody wants so.
type Declared struct {
	// Router is true of one that is to hand packets on.
	Router bool
	// Closed are the sysctls, below /proc/sys, by which it was told not to.
	Closed []string
	// NoRoutes is true of one that is to have no routes of the plan's finding.
	NoRoutes bool
	// Taken are the destinations of routes that were taken away.
	Taken []netip.Prefix
}

// Observation is all that is known of one probe. It is data: Explain needs no
// kernel.
type Observation struct {
	Flow     wire.Flow
	Heard    Heard
	Timeline evidence.Timeline
	// States are those of the nodes that matter, by name.
	States map[string]*inspect.State
	// Ports are the planned ports of every node, by name.
	Ports map[string][]PortState
	// Peers are the other ends of a link.
	Peers map[End][]End
	// Switches are those at the ends that matter of which something was chosen.
	Switches []*Switch
	// Nodes are what the nodes were declared to be, by name; without those that were
	// attached.
	Nodes map[string]Declared
	// Parted is the group that each node is in of a lab that is cut, by name; see Lab.Parted.
	Parted map[string]int
	// Way are the nodes, by name, that the plan leads the request by; nil where it has none.
	Way []string
	// Account is what became of every packet of the probe, as far as it was seen.
	Account account.Account
	// Discoveries are packets of neighbour discovery, of this probe's time and somewhat before;
	// needed where a neighbour did not answer.
	Discoveries []Discovered
	// Awaited is where a packet of the probe was seen to wait for a neighbour; the zero End is
	// nowhere. It was given up where nothing is left of the entry.
	Awaited End
	// Queued are the packets that rules gave to programs, and did not get back.
	Queued []Queued
	// Muted are ICMP errors of this probe's time that say that a packet is too large, and that
	// rules dropped.
	Muted []Muted
	// Lost says what was not seen for want of space; "" when nothing was lost.
	Lost string
	// Untraced are the nodes, by name, that have rules of nftables which a watch may not
	// trace: those of somebody else's namespaces.
	Untraced map[string]bool
}

// onward asks where the packet would go from there, and back where what comes back
// would, if the node sent it.
func onward(f wire.Flow, s evidence.Sighting) inspect.Question {
	q := inspect.Question{
		From: s.Source, To: s.Destination, In: s.Index, Mark: s.Mark, TOS: s.TOS,
		Protocol: s.Protocol, SourcePort: s.SourcePort, Port: s.DestinationPort,
	}
	if s.Index == 0 && s.Node == f.From && s.Role == evidence.Request { // the probe's own socket sends it
		q.Out, q.UID = f.Out, f.UID
		if q.Mark == 0 {
			q.Mark = f.Mark
		}
	}
	return q
}

func back(s evidence.Sighting) inspect.Question {
	return inspect.Question{
		From: s.Destination, To: s.Source, TOS: s.TOS, Protocol: s.Protocol, SourcePort: s.DestinationPort, Port: s.SourcePort,
	}
}

// Questions are the route lookups that explaining a packet at a place needs, which is in a
// VRF, or in none: 0. What a node itself sends there belongs to the VRF that it got it in.
func Questions(f wire.Flow, s evidence.Sighting, vrf int) []inspect.Question {
	answer := back(s)
	answer.Out = vrf
	return []inspect.Question{onward(f, s), answer, {To: s.Source, Out: vrf}, {To: s.Destination, Out: vrf}}
}

// AsCame is a sighting with the source that the packet came in with, where a rule saw it: the
// node's rules give it another one when it was routed.
func (o Observation) AsCame(s evidence.Sighting) evidence.Sighting {
	if !s.ByRule() || s.Index == 0 {
		return s
	}
	for _, in := range slices.Backward(o.Timeline) {
		if in.Role == s.Role && in.Node == s.Node && in.Direction == evidence.In && !in.Foreign {
			s.Source, s.SourcePort = in.Source, in.SourcePort
			break
		}
	}
	return s
}

// vrf is the VRF that the packet was seen in; 0 for none.
func (p spot) vrf() int { return p.state.VRF(p.in()) }

// FirstQuestion is the lookup by which the asker's own kernel finds where to send.
func FirstQuestion(f wire.Flow) inspect.Question {
	q := inspect.Question{From: f.Source, To: f.Addr, SourcePort: f.SourcePort, Port: f.Port, Out: f.Out, Mark: f.Mark, TOS: f.TOS, UID: f.UID}
	switch {
	case f.Crafted: // a raw socket, which has no ports
		q.Protocol, q.SourcePort, q.Port = unix.IPPROTO_TCP, 0, 0
	case f.Protocol == wire.SCTP:
		q.Protocol, q.SourcePort, q.Port = unix.IPPROTO_SCTP, 0, 0
	case f.Protocol == wire.TCP:
		q.Protocol, q.Connects = unix.IPPROTO_TCP, true
	case f.Protocol == wire.UDP:
		q.Protocol, q.Connects = unix.IPPROTO_UDP, true
	case f.Protocol == wire.UDPLite:
		q.Protocol, q.Connects = unix.IPPROTO_UDPLITE, true
	case f.Protocol == wire.Other: // the kernel looks it up as any
	case f.Addr.Is6():
		q.Protocol = unix.IPPROTO_ICMPV6
	default:
		q.Protocol = unix.IPPROTO_ICMP
	}
	return q
}
