package harness

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// held is what a namespace was found to have.
type held struct {
	place    int
	node     string // "" is no node
	links    []inspect.Link
	addrs    []inspect.Addr
	routes   []inspect.Route
	forwards bool
	peers    map[int]int // by the kernel's number: the place
}

// tip is an interface: where it is, and its index there.
type tip struct{ place, index int }

// web is how the interfaces of all places hang together.
type web struct {
	held    []*held
	domains union // of one broadcast domain
	wires   union // of one cable
	cables  map[spot]cable
	index   map[spot]int
	names   map[tip]string // of domains
}

// union are sets of interfaces, each with another that it is with.
type union map[tip]tip

func (u union) leads(a tip) tip {
	for {
		b, ok := u[a]
		if !ok {
			return a
		}
		a = b
	}
}

func (u union) join(a, b tip) {
	if a, b = u.leads(a), u.leads(b); a != b {
		u[a] = b
	}
}

func newWeb() *web {
	return &web{domains: union{}, wires: union{}, cables: map[spot]cable{}, index: map[spot]int{}, names: map[tip]string{}}
}

// The kinds of link whose frames another interface takes, which IFLA_LINK tells: the other
// end of a pair, or the parent that shares its own segment.
var (
	pairs  = []string{"veth", "netkit"}
	shares = []string{"macvlan", "macvtap", "ipvlan", "ipvtap"}
)

// far is the interface at the other end of a link, or below it, where that is in a place
// that was read.
func (h *held) far(l inspect.Link) (tip, bool) {
	switch {
	case l.Peer == 0:
		return tip{}, false
	case l.PeerNamespace < 0:
		return tip{h.place, l.Peer}, true
	}
	place, known := h.peers[l.PeerNamespace]
	return tip{place, l.Peer}, known
}

// weave finds what is joined with what, and the cables.
func (w *web) weave() {
	for _, h := range w.held {
		for _, l := range h.links {
			w.joinLink(h, l)
		}
	}
	w.nameCables()
	w.nameDomains()
}

func (w *web) joinLink(h *held, l inspect.Link) {
	own := tip{h.place, l.Index}
	far, known := h.far(l)
	switch {
	case known && slices.Contains(pairs, l.Kind):
		w.domains.join(own, far)
		w.wires.join(own, far)
	case known && slices.Contains(shares, l.Kind):
		w.domains.join(own, far)
		if far.place != h.place { // else the node has both for itself
			w.wires.join(own, far)
		}
	}
	if l.Master != 0 && h.bridge(l.Master) {
		w.domains.join(own, tip{h.place, l.Master})
		if h.node == "" { // nobody listens there: it is part of the cable
			w.wires.join(own, tip{h.place, l.Master})
		}
	}
}

// bridge says whether an interface is one.
func (h *held) bridge(index int) bool {
	return slices.ContainsFunc(h.links, func(l inspect.Link) bool { return l.Index == index && l.Kind == "bridge" })
}

// onCable says whether frames that leave by a link go to another namespace, or to nobody
// that is known: all that a node does not have for itself.
func (h *held) onCable(l inspect.Link) bool {
	switch {
	case l.Name == "lo":
		return false
	case slices.Contains(pairs, l.Kind), l.Kind == "device":
		return true
	}
	return slices.Contains(shares, l.Kind) && l.PeerNamespace >= 0
}

// nameCables calls each cable as the first interface at it that a node has.
func (w *web) nameCables() {
	names, outside := map[tip]string{}, map[tip]bool{}
	for _, h := range w.held {
		if h.node != "" {
			continue
		}
		for _, l := range h.links {
			outside[w.wires.leads(tip{h.place, l.Index})] = true
		}
	}
	for _, h := range w.held {
		for _, l := range h.links {
			if h.node == "" || !h.onCable(l) {
				continue
			}
			leader := w.wires.leads(tip{h.place, l.Index})
			if names[leader] == "" {
				names[leader] = h.node + ":" + l.Name
			}
			w.cables[spot{h.node, l.Name}] = cable{names[leader], outside[leader]}
		}
	}
}

// nameDomains calls each broadcast domain as a bridge in it, a node's before one of
// nobody's, or as the first interface in it.
func (w *web) nameDomains() {
	taken := map[string]bool{}
	name := func(leader tip, choices ...string) {
		for _, choice := range choices {
			if w.names[leader] == "" && !taken[choice] {
				w.names[leader], taken[choice] = choice, true
			}
		}
	}
	for _, nodes := range []bool{true, false} {
		for _, h := range w.held {
			for _, l := range h.links {
				if l.Kind == "bridge" && nodes == (h.node != "") {
					name(w.domains.leads(tip{h.place, l.Index}), l.Name, cmp.Or(h.node, "outside")+":"+l.Name)
				}
			}
		}
	}
	for _, h := range w.held {
		for _, l := range h.links {
			if h.node != "" && l.Name != "lo" {
				name(w.domains.leads(tip{h.place, l.Index}), h.node+":"+l.Name, h.node+"::"+l.Name)
			}
		}
	}
}

// plan is what was found, as a plan.
func (w *web) plan(name string) *topo.Plan {
	var nodes []topo.NodePlan
	segments := map[string]*topo.SegmentPlan{}
	var order []string
	for _, h := range w.held {
		if h.node == "" {
			continue
		}
		node := topo.NodePlan{Name: h.node, Router: h.forwards, Forward: h.forwards, Routes: h.planRoutes()}
		for _, l := range h.ports() {
			addrs := h.addrsOf(l.Index)
			if l.Name == "lo" {
				node.Loopback = addrs
				continue
			}
			segment := w.names[w.domains.leads(tip{h.place, l.Index})]
			if segments[segment] == nil {
				segments[segment] = &topo.SegmentPlan{Name: segment, MTU: mtuOf(l)}
				order = append(order, segment)
			}
			w.index[spot{h.node, l.Name}] = l.Index
			segments[segment].Ports = append(segments[segment].Ports, topo.PortRef{Node: h.node, Port: l.Name})
			for _, prefix := range addrs {
				if !slices.Contains(segments[segment].Prefixes, prefix.Masked()) {
					segments[segment].Prefixes = append(segments[segment].Prefixes, prefix.Masked())
				}
			}
			node.Ports = append(node.Ports, topo.PortPlan{Segment: segment, Name: l.Name, MAC: macOf(l), MTU: mtuOf(l), Addrs: addrs})
		}
		nodes = append(nodes, node)
	}
	var all []topo.SegmentPlan
	for _, name := range order {
		s := segments[name]
		if len(s.Ports) != 2 || w.bridged(name) {
			s.Kind = topo.KindSwitch
		}
		all = append(all, *s)
	}
	return topo.Found(name, all, nodes)
}

// bridged says whether there is a bridge in a domain.
func (w *web) bridged(domain string) bool {
	for _, h := range w.held {
		for _, l := range h.links {
			if l.Kind == "bridge" && w.names[w.domains.leads(tip{h.place, l.Index})] == domain {
				return true
			}
		}
	}
	return false
}

// ports are the links, by index, those that belong to a bridge or a bond last.
func (h *held) ports() []inspect.Link {
	links := slices.Clone(h.links)
	slices.SortStableFunc(links, func(a, b inspect.Link) int {
		slave := func(l inspect.Link) int {
			if l.Master != 0 && h.bridge(l.Master) {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(slave(a), slave(b)), cmp.Compare(a.Index, b.Index))
	})
	return links
}

// addrsOf are an interface's addresses, as a declaration would have them: without those
// of the loopback, and the kernel's own link-local ones.
func (h *held) addrsOf(index int) (addrs []netip.Prefix) {
	for _, a := range h.addrs {
		addr := a.Prefix.Addr()
		if a.Index == index && !addr.IsLoopback() && (addr.Is4() || !addr.IsLinkLocalUnicast()) {
			addrs = append(addrs, a.Prefix)
		}
	}
	return addrs
}

func macOf(l inspect.Link) (mac [6]byte) {
	if hardware, err := net.ParseMAC(l.MAC); err == nil && len(hardware) == len(mac) {
		copy(mac[:], hardware)
	}
	return mac
}

// mtuOf is a link's MTU as a plan has it: 0 is 1,500.
func mtuOf(l inspect.Link) int {
	if l.MTU == 1500 {
		return 0
	}
	return l.MTU
}

// planRoutes are the routes that somebody gave the node, one for each hop.
func (h *held) planRoutes() (routes []topo.RoutePlan) {
	types := map[int]topo.RouteType{}
	for planned, kernel := range routeTypes {
		types[int(kernel)] = planned
	}
	for _, r := range h.routes {
		kind, known := types[r.Type]
		if !known || r.Table == unix.RT_TABLE_LOCAL || r.Protocol == unix.RTPROT_KERNEL {
			continue
		}
		table := r.Table
		if table == unix.RT_TABLE_MAIN {
			table = 0
		}
		hops := r.Hops
		if len(hops) == 0 {
			hops = []inspect.Hop{{Via: r.Via, Index: r.Index}}
		}
		for _, hop := range hops {
			planned := topo.RoutePlan{Type: kind, To: r.To, Via: hop.Via, Table: table, Metric: r.Metric}
			if kind == topo.Unicast {
				planned.Dev = h.nameOf(hop.Index)
			}
			routes = append(routes, planned)
		}
	}
	return routes
}

func (h *held) nameOf(index int) string {
	at := slices.IndexFunc(h.links, func(l inspect.Link) bool { return l.Index == index })
	if at < 0 {
		return fmt.Sprintf("if%d", index)
	}
	return h.links[at].Name
}
