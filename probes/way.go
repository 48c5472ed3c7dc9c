package probes

import (
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// onTheWay are the nodes whose rules a probe may meet: its two ends, those that the plan
// or the kernels' routes lead it by, and those without an address on a segment of that way, which may be
// bridges. Where the plan does not know the way, it is every node of the lab.
func onTheWay(from *harness.Node, to Target) []*harness.Node {
	lab := from.Lab()
	addrs, _, err := addresses(from, to)
	if err != nil {
		return nil
	}
	w := way{plan: lab.Plan(), nodes: map[string]bool{from.Name(): true}, segments: map[string]bool{}}
	nodes := []*harness.Node{from}
	known := !from.Alone()
	for _, addr := range addrs {
		known = known && w.follow(from.Name(), addr.WithZone(""))
		w.kernels(from, addr.WithZone(""))
	}
	for _, node := range lab.Nodes() {
		if node != from && (!known || w.nodes[node.Name()] || w.bridges(node)) {
			nodes = append(nodes, node)
		}
	}
	for _, owner := range ownersOf(from, to) {
		if !slices.Contains(nodes, owner) {
			nodes = append(nodes, owner)
		}
	}
	return nodes
}

// way is a plan's way from a node to some addresses.
type way struct {
	plan            *topo.Plan
	nodes, segments map[string]bool
}

// follow goes from router to router; false where the plan has no way.
func (w *way) follow(at string, to netip.Addr) bool {
	for range len(w.plan.Nodes) {
		next, ok := w.plan.Way(at, to)
		if !ok {
			return slices.Contains(w.plan.Owners(to), at)
		}
		node, _ := w.plan.Node(at)
		device, is := node.Device(next.Dev)
		if !is || device.Segment == "" {
			return false
		}
		segment := device.Segment
		w.segments[segment] = true
		if !next.Via.IsValid() {
			return w.arrive(segment, to) != ""
		}
		if at = w.arrive(segment, next.Via); at == "" {
			return false
		}
	}
	return false
}

// kernels goes from router to router as the kernels' routes lead at this moment, which a test
// may have changed; it ends where no node is known to have the next address.
func (w *way) kernels(at *harness.Node, to netip.Addr) {
	for range len(w.plan.Nodes) {
		routes, err := at.Netlink().RouteGet(to.AsSlice())
		if err != nil || len(routes) == 0 {
			return
		}
		next := to
		if via, ok := netip.AddrFromSlice(routes[0].Gw); ok {
			next = via.Unmap()
		}
		if at.Alone() {
			return
		}
		plan, _ := w.plan.Node(at.Name())
		device := deviceOf(at, plan, routes[0].LinkIndex)
		if device == nil || device.Segment == "" {
			return
		}
		w.segments[device.Segment] = true
		name := w.arrive(device.Segment, next)
		if name == "" || next == to {
			return
		}
		at = at.Lab().Node(name)
	}
}

// deviceOf is a node's device of that index; nil where the plan has none. A kernel is asked
// only where it gave the indexes itself: it takes its rtnl lock for that.
func deviceOf(at *harness.Node, plan *topo.NodePlan, index int) *topo.DevicePlan {
	if !at.Attached() {
		if i := slices.IndexFunc(plan.Devices, func(d topo.DevicePlan) bool { return d.Index == index }); i >= 0 {
			return &plan.Devices[i]
		}
	}
	link, err := at.Netlink().LinkByIndex(index)
	if err != nil {
		return nil
	}
	device, _ := plan.Device(link.Attrs().Name)
	return device
}

// arrive is the node that has an address on a segment; "" when none has. One that has it
// elsewhere, on its loopback for instance, is at the end of the way as well.
func (w *way) arrive(segment string, addr netip.Addr) (found string) {
	for _, name := range w.plan.Owners(addr) {
		node, _ := w.plan.Node(name)
		if slices.ContainsFunc(node.Ports, func(p topo.PortPlan) bool { return w.plan.Link(p.Segment) == w.plan.Link(segment) }) {
			w.nodes[name] = true
			found = name
		}
	}
	return found
}

// bridges says whether a node may be a bridge on the way.
func (w *way) bridges(node *harness.Node) bool {
	plan, ok := w.plan.Node(node.Name())
	return ok && slices.ContainsFunc(plan.Ports, func(p topo.PortPlan) bool { return w.segments[p.Segment] && len(p.Addrs) == 0 })
}
