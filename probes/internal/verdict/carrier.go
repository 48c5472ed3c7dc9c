package verdict

import (
	"net/netip"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

// carriers are the protocols of the packets that carry those of a kind of tunnel.
var carriers = map[string]uint8{
	"vxlan": unix.IPPROTO_UDP, "geneve": unix.IPPROTO_UDP, "gre": unix.IPPROTO_GRE, "gretap": unix.IPPROTO_GRE,
	"ip6gre": unix.IPPROTO_GRE, "ip6gretap": unix.IPPROTO_GRE, "ipip": unix.IPPROTO_IPIP, "sit": unix.IPPROTO_IPV6,
}

// carrierTo is what carries the packet from an end of a tunnel to another; nil where the other end's
// address is not known.
func (p spot) carrierTo(own inspect.Link, other peer) *evidence.Carrier {
	protocol, is := carriers[own.Kind]
	c := &evidence.Carrier{
		Node: p.state.Name, Peer: other.Node, Protocol: protocol, Port: other.link.Tunnel.Port, Own: own.Tunnel.Port,
		From: either(own.Tunnel.Local, other.link.Tunnel.Remote), To: either(other.link.Tunnel.Local, own.Tunnel.Remote),
	}
	if !is || !c.To.IsValid() {
		return nil
	}
	return c
}

func either(a, b netip.Addr) netip.Addr {
	if a.IsValid() {
		return a
	}
	return b
}

// carrierToOneOf is carrierTo where there is one other end only.
func (p spot) carrierToOneOf(own inspect.Link, others []peer) *evidence.Carrier {
	if len(others) != 1 {
		return nil
	}
	return p.carrierTo(own, others[0])
}
