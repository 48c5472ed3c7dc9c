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
	Tentative bool // duplicate address detection is not over, or failed
}

func (s *State) readAddrs(h *netlink.Handle) error {
	addrs, err := h.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		s.Addrs = append(s.Addrs, Addr{a.LinkIndex, prefixOf(*a.IPNet), a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0})
	}
	return nil
}

// Addr is an address that the namespace has; false when it has not.
func (s *State) Addr(addr netip.Addr) (Addr, bool) {
	at := slices.IndexFunc(s.Addrs, func(a Addr) bool { return a.Prefix.Addr() == addr })
	if at < 0 {
		return Addr{}, false
	}
	return s.Addrs[at], true
}

func prefixOf(n net.IPNet) netip.Prefix {
	addr, _ := netip.AddrFromSlice(n.IP)
	ones, bits := n.Mask.Size()
	if bits == 128 && addr.Is4In6() {
		return netip.PrefixFrom(addr, ones)
	}
	return netip.PrefixFrom(addr.Unmap(), ones)
}
