package inspect

import (
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Neighbour is a neighbour entry.
type Neighbour struct {
	Index int // of the interface
	Addr  netip.Addr
	State int    // NUD_INCOMPLETE and so on (rtnetlink(7))
	MAC   string // "" for none
	Flags int    // NTF_ROUTER and so on
	// End is, of a tunnel, the end that it is behind; the zero Addr of others.
	End netip.Addr
}

// At is where it is: its MAC, or the end of a tunnel; "" where that is not known.
func (n Neighbour) At() string {
	if n.End.IsValid() {
		return n.End.String()
	}
	return n.MAC
}

// Neighbours are the entries of every link of the namespace, IPv4's first. Where the
// kernel changed them under way there are some, and netlink.ErrDumpInterrupted.
func (ns Namespace) Neighbours() (all []Neighbour, err error) {
	entries, err := ofFamilies(func(family int) ([]netlink.Neigh, error) { return ns.Handle.NeighList(0, family) })
	for _, n := range entries {
		if addr, ok := netip.AddrFromSlice(n.IP); ok {
			all = append(all, Neighbour{n.LinkIndex, addr.Unmap(), n.State, n.HardwareAddr.String(), n.Flags, endOf(n.LLIPAddr)})
		}
	}
	return all, err
}

// Learnt is an entry of a bridge: a MAC behind a port.
type Learnt struct {
	Index, Bridge int // of the port, and of its bridge
	MAC           string
	State         int // NUD_PERMANENT and so on
}

// Learnt are the entries of the bridges of the namespace.
func (ns Namespace) Learnt() (all []Learnt, err error) {
	entries, err := ns.Handle.NeighList(0, unix.AF_BRIDGE)
	for _, n := range entries {
		if n.MasterIndex != 0 { // else it is what a link itself listens to
			all = append(all, Learnt{n.LinkIndex, n.MasterIndex, n.HardwareAddr.String(), n.State})
		}
	}
	return all, err
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
