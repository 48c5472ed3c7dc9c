package evidence

import (
	"fmt"
	"net/netip"
	"time"
)

// Role is what a packet is to a flow.
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

// Direction is which way a packet went at an interface.
type Direction int

// The directions.
const (
	In  Direction = iota + 1 // received, before any rule
	Out                      // handed to the driver, after every rule
)

// String is "in" or "out".
func (d Direction) String() string {
	switch d {
	case In:
		return "in"
	case Out:
		return "out"
	}
	return "at"
}

// Sighting is one packet of a flow, seen at an interface or by a rule.
type Sighting struct {
	At   time.Time
	Node string
	// Interface is where a tap saw it; "" for what a rule did.
	Interface string
	// Index is the interface's, of a packet that came in also where a rule saw it.
	Index     int
	Direction Direction
	Role      Role
	// Rule is what dropped the packet; nil otherwise.
	Rule *Rule
	// Foreign is true when it was addressed to another host's MAC.
	Foreign bool
	// Tag is the VLAN whose tag the frame had (IEEE 802.1Q); 0 for none. One that came in where no
	// interface is of that VLAN is Foreign.
	Tag int
	// Source and Destination are the packet's addresses at this place: translation
	// changes them on the way.
	Source, Destination netip.Addr
	// Protocol is IPPROTO_TCP and so on; the ports are TCP's and UDP's, and 0 otherwise.
	Protocol                    uint8
	SourcePort, DestinationPort uint16
	// TOS is the type of service, or traffic class.
	TOS uint8
	// Length is the packet's, in bytes.
	Length int
	// TTL is the time to live, or hop limit, that it has left.
	TTL int
	// Mark is the kernel's own mark on it, where a rule saw it.
	Mark uint32
	// Fragment is true of a later fragment, which has no ports, and Offset is that of its first byte.
	Fragment bool
	Offset   int
	// NoHost is true of an ICMP error that says that its sender could not reach the
	// host: 3/1 (RFC 792), 1/3 (RFC 4443).
	NoHost bool
	// Expired is true of one that says that the TTL expired at its sender: 11/0, and 3/0
	// over IPv6.
	Expired bool
	// Text is the packet in a few words.
	Text string
}

// Dropped says whether a rule ended the packet's way here.
func (s Sighting) Dropped() bool { return s.Rule != nil }

// ByRule says whether a rule saw it, and no tap.
func (s Sighting) ByRule() bool { return s.Direction == 0 }

func (s Sighting) place() string {
	if s.Interface == "" {
		return s.Node
	}
	return fmt.Sprintf("%s/%s %s", s.Node, s.Interface, s.Direction)
}

func (s Sighting) what() string {
	text := fmt.Sprintf("%s: %s", s.Role, s.Text)
	switch {
	case s.Tag != 0:
		text += fmt.Sprintf(" (with the tag of VLAN %d)", s.Tag)
	case s.Foreign:
		text += " (to another host's MAC)"
	}
	if s.Rule != nil {
		text += ": dropped by " + s.Rule.String()
	}
	return text
}
