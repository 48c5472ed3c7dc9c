package evidence

import (
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// State is what a node's kernel says of itself at one moment: what an explanation
// needs besides the packets that were seen.
type State struct {
	Node  string
	Links []LinkState
	Addrs []AddrState
	// Routes are those of every table.
	Routes []RouteState
	// Neighbours are the entries of every link.
	Neighbours []NeighbourState
	// Lookups are the route lookups that were asked for.
	Lookups map[Question]Lookup
	// Sysctls are those that decide about packets: the node's, and those of the links
	// that were asked for.
	Sysctls map[string]string
	// Legacy is true when there are tables of iptables-legacy that are not traced. An
	// ordinary user may not know.
	Legacy bool
	// Listeners are those of TCP, with their queues, if they were asked for.
	Listeners []ListenerState
	// UDP are the ports that somebody waits at, if they were asked for.
	UDP map[uint16]bool
}

// ListenerState is a listening socket: how many connections wait to be accepted,
// and how many may.
type ListenerState struct {
	Port          uint16
	Waiting, Most uint32
}

// LinkState is an interface.
type LinkState struct {
	Index, Master int
	Name, Kind    string
	Up, Carrier   bool
	MTU           int
	Isolated      bool // a bridge's port that talks to no other isolated one
}

// AddrState is an address.
type AddrState struct {
	Index     int
	Prefix    netip.Prefix
	Tentative bool // duplicate address detection is not over, or failed
}

// RouteState is a route.
type RouteState struct {
	Table, Type int // Type is RTN_UNICAST and so on (rtnetlink(7))
	To          netip.Prefix
	Via         netip.Addr
	Index       int
	Metric      int
}

// NeighbourState is a neighbour entry.
type NeighbourState struct {
	Index int
	Addr  netip.Addr
	// State is NUD_INCOMPLETE and so on (rtnetlink(7)).
	State int
}

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

// capture reads what a node's kernel lists: all but what fill adds.
func capture(node *harness.Node) (*State, error) {
	s := &State{Node: node.Name(), Lookups: map[Question]Lookup{}, Sysctls: map[string]string{}}
	h := node.Netlink()
	links, err := h.LinkList()
	if err != nil {
		return nil, err
	}
	for _, link := range links {
		s.Links = append(s.Links, linkState(h, link))
	}
	addrs, err := h.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		s.Addrs = append(s.Addrs, AddrState{a.LinkIndex, prefixOf(*a.IPNet), a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0})
	}
	routes, err := h.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		s.Routes = append(s.Routes, routeState(r))
	}
	neighbours, err := h.NeighList(0, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	for _, n := range neighbours {
		if addr, ok := netip.AddrFromSlice(n.IP); ok {
			s.Neighbours = append(s.Neighbours, NeighbourState{n.LinkIndex, addr.Unmap(), n.State})
		}
	}
	return s, node.Do(s.readNames)
}

func linkState(h *netlink.Handle, link netlink.Link) LinkState {
	a := link.Attrs()
	s := LinkState{
		Index: a.Index, Master: a.MasterIndex, Name: a.Name, Kind: link.Type(), MTU: a.MTU,
		Up: a.RawFlags&unix.IFF_UP != 0, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0,
	}
	if a.MasterIndex != 0 {
		if info, err := h.LinkGetProtinfo(link); err == nil {
			s.Isolated = info.Isolated
		}
	}
	return s
}

func routeState(r netlink.Route) RouteState {
	s := RouteState{Table: r.Table, Type: r.Type, Index: r.LinkIndex, Metric: r.Priority}
	switch {
	case r.Dst != nil:
		s.To = prefixOf(*r.Dst)
	case r.Family == unix.AF_INET6:
		s.To = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	default:
		s.To = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	if via, ok := netip.AddrFromSlice(r.Gw); ok {
		s.Via = via.Unmap()
	}
	return s
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

// next is whom a packet to that address is handed to on the link: a router, or who it
// is for.
func (l Lookup) next(to netip.Addr) netip.Addr {
	if l.Via.IsValid() {
		return l.Via
	}
	return to
}

// link is the interface of an index; the zero LinkState when there is none.
func (s *State) link(index int) LinkState {
	at := slices.IndexFunc(s.Links, func(l LinkState) bool { return l.Index == index })
	if at < 0 {
		return LinkState{}
	}
	return s.Links[at]
}

// has says whether the node has an address, and its state.
func (s *State) has(addr netip.Addr) (AddrState, bool) {
	at := slices.IndexFunc(s.Addrs, func(a AddrState) bool { return a.Prefix.Addr() == addr })
	if at < 0 {
		return AddrState{}, false
	}
	return s.Addrs[at], true
}

// matching is the route with the longest prefix among those of a type that a
// lookup of the address could meet.
func (s *State) matching(addr netip.Addr, routeType int) (RouteState, bool) {
	best, found := RouteState{}, false
	for _, r := range s.Routes {
		if r.Type == routeType && r.To.Contains(addr) && (!found || r.To.Bits() > best.To.Bits()) {
			best, found = r, true
		}
	}
	return best, found
}

// unresolved says whether the node is asking for a neighbour, or gave up.
func (s *State) unresolved(index int, addr netip.Addr) bool {
	return s.neighbour(index, addr)&(unix.NUD_INCOMPLETE|unix.NUD_FAILED) != 0
}

// asksFor says whether an address is a neighbour's that has to be asked for,
// whatever came of it, and not on a link where nobody is.
func (s *State) asksFor(index int, addr netip.Addr) bool {
	return s.neighbour(index, addr)&^unix.NUD_NOARP != 0
}

// neighbour is the state of a neighbour's entry; 0 where there is none.
func (s *State) neighbour(index int, addr netip.Addr) int {
	at := slices.IndexFunc(s.Neighbours, func(n NeighbourState) bool { return n.Index == index && n.Addr == addr })
	if at < 0 {
		return 0
	}
	return s.Neighbours[at].State
}
