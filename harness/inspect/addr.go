package inspect

import (
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Addr is an address of an interface.
type Addr struct {
	Index     int
	Prefix    netip.Prefix
	Peer      netip.Prefix // the other end's, where it has one; else the zero Prefix
	Scope     int          // RT_SCOPE_UNIVERSE and so on (rtnetlink(7))
	Flags     int          // IFA_F_TENTATIVE and so on
	Tentative bool         // duplicate address detection is not over, or failed
}

// Addrs are the addresses of the namespace. Where the kernel changed them under way
// there are some, and netlink.ErrDumpInterrupted.
func (ns Namespace) Addrs() ([]Addr, error) {
	addrs, err := ofFamilies(func(family int) ([]netlink.Addr, error) { return ns.Handle.AddrList(nil, family) })
	all := make([]Addr, len(addrs))
	for i, a := range addrs {
		all[i] = Addr{
			Index: a.LinkIndex, Prefix: prefixOf(*a.IPNet), Scope: a.Scope, Flags: a.Flags,
			Tentative: a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0,
		}
		if a.Peer != nil && !a.Peer.IP.Equal(a.IP) {
			all[i].Peer = prefixOf(*a.Peer)
		}
	}
	return all, err
}

// Addr is an address that the namespace has; false when it has not.
func (s *State) Addr(addr netip.Addr) (Addr, bool) {
	at := slices.IndexFunc(s.Addrs, func(a Addr) bool { return a.Prefix.Addr() == addr })
	if at < 0 {
		return Addr{}, false
	}
	return s.Addrs[at], true
}

// Owns says whether the namespace takes packets for an address: it has it, or a route of
// type local (ip route add local 10.0.50.0/24 dev lo) makes it its own.
func (s *State) Owns(addr netip.Addr) bool {
	if _, has := s.Addr(addr); has {
		return true
	}
	return slices.ContainsFunc(s.Routes, func(r Route) bool { return r.IsLocal() && r.To.Contains(addr.WithZone("")) })
}

func prefixOf(n net.IPNet) netip.Prefix {
	addr, _ := netip.AddrFromSlice(n.IP)
	ones, bits := n.Mask.Size()
	if bits == 128 && addr.Is4In6() {
		return netip.PrefixFrom(addr, ones)
	}
	return netip.PrefixFrom(addr.Unmap(), ones)
}
