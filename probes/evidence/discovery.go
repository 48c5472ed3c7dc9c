package evidence

import "net/netip"

// Discovery is what a rule ended in a packet's place: the question for the MAC of the
// next one on its way, or the answer. The packet waits for it, and whoever knows the MAC
// otherwise is not stopped: so it is no policy that isolates.
type Discovery struct {
	// Packet is which of them: "ARP request", "ARP reply", "neighbour solicitation" or
	// "neighbour advertisement"; For is the address that it is about.
	Packet string
	For    netip.Addr
	// Node and Interface are where the packet waits.
	Node, Interface string
}

func (d Discovery) place() string { return Cause{Node: d.Node, Interface: d.Interface}.place() }
