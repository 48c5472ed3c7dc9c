package wire

import "net/netip"

// Protocol is what a probe speaks.
type Protocol int

// The protocols of probes.
const (
	ICMP Protocol = iota + 1
	TCP
	UDP
	// Other is any other: what follows its header's first eight bytes is like an echo's.
	Other
	// UDPLite is UDP with a checksum that may cover less (RFC 3828): all else is alike.
	UDPLite
	// SCTP is asked by how an association begins (RFC 9260).
	SCTP
)

// Types of ICMP messages (RFC 792).
const (
	Timestamp      = 13
	TimestampReply = 14
)

// IsDatagrams says whether a probe sends datagrams from port to port, by UDP or UDP-Lite.
func (p Protocol) IsDatagrams() bool { return p == UDP || p == UDPLite }

// HasPorts says whether what a probe sends goes from port to port.
func (p Protocol) HasPorts() bool { return p == TCP || p == SCTP || p.IsDatagrams() }

// Numbered says whether a probe's packets are known by a number of their header's: what they carry
// says nothing.
func (p Protocol) Numbered() bool { return p == TCP || p == SCTP }

// Marked says whether a probe's nonce begins with the watch's mark: the payload has no word
// before it by which others are told.
func (p Protocol) Marked() bool { return p == ICMP || p == Other }

// Flow is one probe: what it sends, and how to tell its packets from all others.
// Translation may change every address and port on the way, so a request is known
// by its nonce (ICMP, UDP), its initial sequence number (TCP) or its tag (SCTP); what comes back
// by the same, or by being the reverse of a request seen at the same place. A datagram that
// carries none is known by its own words.
type Flow struct {
	// From is the asking node's name.
	From string
	// To is the node that is to answer; "" when only its address is known.
	To string
	// Addr is the address that is asked.
	Addr netip.Addr
	// Protocol is what is sent.
	Protocol Protocol
	// Port is the target's; 0 for ICMP.
	Port uint16
	// SourcePort is the asker's own, for TCP and SCTP, and for UDP and UDP-Lite where datagrams carry no nonce.
	SourcePort uint16
	// Source, Out, Mark, TOS and UID are what was chosen for the asker's socket: an address,
	// the index of an interface (also a link-local target's), a mark, a type of service and a
	// user. Zero values are the kernel's choice.
	Source netip.Addr
	Out    int
	Mark   uint32
	TOS    uint8
	UID    uint32
	// First says that a program's further answers do not matter, once the first has ended.
	First bool
	// Parted is true of what is sent in fragments, or with extension headers of IPv6: what filters
	// and traces see of it is told otherwise.
	Parted bool
	// Crafted is true of a TCP segment that is of no connection, and has these Flags. What it
	// acknowledges is in the upper half of its numbers, so that what comes back is told from it.
	Crafted bool
	Flags   byte
	// Nonce is in the payload of ICMP, UDP, UDP-Lite and others. Its first MarkSize bytes are the
	// watch's mark.
	Nonce [NonceSize]byte
}
