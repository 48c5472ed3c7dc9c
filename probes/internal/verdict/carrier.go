package verdict

import (
	"cmp"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

// carrierTo is what carries the packet from an end of a tunnel to another; nil where the other end's
// address is not known.
func (p spot) carrierTo(own inspect.Link, other peer) *evidence.Carrier {
	protocol, is := own.CarriedBy()
	c := &evidence.Carrier{
		Node: p.state.Name, Peer: other.Node, Protocol: protocol, Port: other.link.Tunnel.Port, Own: own.Tunnel.Port,
		From: cmp.Or(own.Tunnel.Local, other.link.Tunnel.Remote), To: cmp.Or(other.link.Tunnel.Local, own.Tunnel.Remote),
	}
	if !is || !c.To.IsValid() {
		return nil
	}
	return c
}
