package evidence

import (
	"fmt"
	"net/netip"
)

// Carrier is what carries a packet through a tunnel: an IP packet from one end to the other.
type Carrier struct {
	// Node has the end that it is sent from, and Peer the other one.
	Node, Peer string
	// From and To are the ends' addresses; From is the zero Addr where the kernel chooses it.
	From, To netip.Addr
	// Protocol is the number in its IP header: 17 is UDP, 47 is GRE.
	Protocol uint8
	// Port is UDP's at the end To, and Own at the end From; 0 of other protocols.
	Port, Own uint16
	// End is what became of one that was sent to find out, from Node or, where that arrived, from
	// Peer; nil where none was sent, or both arrived.
	End *Cause
}

// Back is what carries a packet the other way.
func (c Carrier) Back() Carrier {
	return Carrier{Node: c.Peer, Peer: c.Node, From: c.To, To: c.From, Protocol: c.Protocol, Port: c.Own, Own: c.Port}
}

// String is what is sent, and where: "udp/4789 from client to fw (192.0.2.2)".
func (c Carrier) String() string {
	const udp = 17
	what := fmt.Sprintf("protocol %d", c.Protocol)
	if c.Protocol == udp {
		what = fmt.Sprintf("udp/%d", c.Port)
	}
	return fmt.Sprintf("%s from %s to %s (%s)", what, c.Node, c.Peer, c.To)
}
