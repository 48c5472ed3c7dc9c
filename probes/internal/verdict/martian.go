package verdict

import (
	"fmt"
	"net/netip"

	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var martian = row{
	kind: evidence.Martian, verb: "not accepted", policy: never, needs: needPackets | needAddrs | needLinks | needLookups,
	mend:       "ask from an address that others may have",
	at:         map[stage]func(spot, *evidence.Cause) bool{entered: isMartian, handed: isLocal},
	confirmed:  confirmation{otherwise: "the kernel's own lookup refuses it; no counter of a namespace does"},
	unliftable: "the kernel knows no exception for a packet's source alone",
}

// isMartian says whether the packet's source is one that may not come from outside:
// nobody's (a socket that is bound to an interface without an address sends with 0.0.0.0;
// RFC 1122, 3.2.1.3), a loopback address, or the node's own. The last two may be allowed
// (route_localnet, accept_local): the kernel's lookup tells, but not for IPv6's loopback
// address.
func isMartian(p spot, c *evidence.Cause) bool {
	if p.in().Name == "lo" {
		return false
	}
	source := p.AsCame(p.seen).Source // before rules translated it
	refuses := p.state.Lookups[onward(p.Flow, p.seen)].Errno == unix.EINVAL
	_, own := p.state.Addr(source)
	switch {
	case p.to.Is4() && p.to.IsLoopback() && refuses:
		c.Detail = fmt.Sprintf("%s is a loopback address, to which nobody may send from outside (route_localnet=0)", p.to)
	case isNobodys(source) && !p.to.IsMulticast() && p.to != everybody:
		c.Detail = fmt.Sprintf("%s is no address that a packet may come from", source)
	case source.IsLoopback() && (refuses || source.Is6()):
		c.Detail = fmt.Sprintf("%s is a loopback address", source)
	case own && refuses && source.Is4():
		c.Detail = fmt.Sprintf("%s is the node's own address", source)
	default:
		return false
	}
	return true
}

// everybody is the address to which a host may send before it has one.
var everybody = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// isNobodys says whether an address is none that a packet may come from (ip_route_input_slow
// and ipv6_rcv of the kernel).
func isNobodys(source netip.Addr) bool {
	return source.IsMulticast() || source == everybody || source.Is4() && source.As4()[0] == 0
}

// isLocal says whether the packet's source is one of IPv6 that counts on a link alone,
// and its destination is not (RFC 4443, 3.1: beyond scope of source address).
func isLocal(p spot, c *evidence.Cause) bool {
	source := p.seen.Source
	c.Detail = fmt.Sprintf("%s is a link-local address, which no router hands on", source)
	return source.Is6() && source.IsLinkLocalUnicast() && !p.to.IsLinkLocalUnicast()
}
