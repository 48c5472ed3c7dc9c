package inspect

import (
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// Neighbour is a neighbour entry.
type Neighbour struct {
	Index int // of the interface
	Addr  netip.Addr
	State int // NUD_INCOMPLETE and so on (rtnetlink(7))
}

func (s *State) readNeighbours(h *netlink.Handle) error {
	neighbours, err := h.NeighList(0, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, n := range neighbours {
		if addr, ok := netip.AddrFromSlice(n.IP); ok {
			s.Neighbours = append(s.Neighbours, Neighbour{n.LinkIndex, addr.Unmap(), n.State})
		}
	}
	return nil
}

// Neighbour is the state of an address's entry on a link, NUD_INCOMPLETE and so on; 0
// where there is none.
func (s *State) Neighbour(index int, addr netip.Addr) int {
	at := slices.IndexFunc(s.Neighbours, func(n Neighbour) bool { return n.Index == index && n.Addr == addr })
	if at < 0 {
		return 0
	}
	return s.Neighbours[at].State
}
