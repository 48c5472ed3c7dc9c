package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var martian = row{
	kind: evidence.Martian, verb: "not accepted", policy: never, needs: needPackets | needAddrs | needLinks | needLookups,
	mend:       "ask from an address that others may have",
	at:         map[stage]func(spot, *evidence.Cause) bool{entered: isMartian, handed: isLocal},
	confirmed:  confirmation{otherwise: "the kernel's own lookup refuses the source; no counter of a namespace does"},
	unliftable: "the kernel knows no exception for a packet's source alone",
}

// isMartian says whether the packet's source is one that may not come from outside:
// a loopback address, or the node's own. Both may be allowed (route_localnet,
// accept_local): the kernel's lookup tells, but not for IPv6's loopback address.
func isMartian(p spot, c *evidence.Cause) bool {
	if p.in().Name == "lo" {
		return false
	}
	source := p.seen.Source
	refuses := p.state.Lookups[onward(p.Flow, p.seen)].Errno == unix.EINVAL
	_, own := p.state.Addr(source)
	switch {
	case source.IsLoopback() && (refuses || source.Is6()):
		c.Detail = fmt.Sprintf("%s is a loopback address", source)
	case own && refuses && source.Is4():
		c.Detail = fmt.Sprintf("%s is the node's own address", source)
	default:
		return false
	}
	return true
}

// isLocal says whether the packet's source is one of IPv6 that counts on a link alone,
// and its destination is not (RFC 4443, 3.1: beyond scope of source address).
func isLocal(p spot, c *evidence.Cause) bool {
	source := p.seen.Source
	c.Detail = fmt.Sprintf("%s is a link-local address, which no router hands on", source)
	return source.Is6() && source.IsLinkLocalUnicast() && !p.to.IsLinkLocalUnicast()
}
