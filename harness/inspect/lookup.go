package inspect

import (
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Question is a route lookup: where would a packet from here to there go? With
// In it is one that came in at that interface; Mark is what rules gave it.
type Question struct {
	From, To netip.Addr
	In       int
	Mark     uint32
}

// Lookup is the kernel's answer.
type Lookup struct {
	Errno unix.Errno
	Type  int // RTN_UNICAST, RTN_LOCAL and so on
	Via   netip.Addr
	Out   int
}

// lookup asks the kernel. Its errors are answers: ENETUNREACH is no route,
// EHOSTUNREACH an unreachable route, or forwarding that is off, EACCES a
// prohibit route, EINVAL a blackhole route, or a source that may not come in there.
func lookup(h *netlink.Handle, q Question) Lookup {
	options := &netlink.RouteGetOptions{IifIndex: q.In, Mark: q.Mark}
	if q.From.IsValid() {
		options.SrcAddr = q.From.AsSlice()
	}
	routes, err := h.RouteGetWithOptions(q.To.AsSlice(), options)
	if err != nil || len(routes) == 0 {
		errno, ok := err.(unix.Errno)
		if !ok {
			errno = unix.ENODATA
		}
		return Lookup{Errno: errno}
	}
	l := Lookup{Type: routes[0].Type, Out: routes[0].LinkIndex}
	if via, ok := netip.AddrFromSlice(routes[0].Gw); ok {
		l.Via = via.Unmap()
	}
	return l
}

// Next is whom a packet to that address is handed to on the link: a router, or who it
// is for.
func (l Lookup) Next(to netip.Addr) netip.Addr {
	if l.Via.IsValid() {
		return l.Via
	}
	return to
}
