package probes

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
)

// know finds the MAC of the next one in the plan: on the link, or past nodes that bridge
// it to others.
func (f *frame) know(link string) bool {
	lab := f.node.Lab()
	own, ok := portOf(f.node, link)
	if !ok {
		return false
	}
	segments := []string{own.Segment}
	for i := 0; i < len(segments); i++ {
		segment, _ := lab.Plan().Segment(segments[i])
		for _, ref := range segment.Ports {
			if ref.Node == f.node.Name() {
				continue
			}
			node := lab.Node(ref.Node)
			if device, has := f.deviceAt(node, ref.Port); has {
				f.mac = device.MAC
				return true
			}
			for _, further := range bridgedTo(node, ref.Port) {
				if !slices.Contains(segments, further) {
					segments = append(segments, further)
				}
			}
		}
	}
	return false
}

// deviceAt is the interface of a node that has the next one's address where a port is: the
// port, or the bridge that it is one of in the plan.
func (f *frame) deviceAt(node *harness.Node, port string) (topo.DevicePlan, bool) {
	live, err := liveAddrs(node)
	plan, _ := node.Lab().Plan().Node(node.Name())
	for name := port; err == nil && name != ""; {
		device, is := plan.Device(name)
		if !is {
			break
		}
		if slices.Contains(live, liveAddr{f.next, name}) {
			return *device, true
		}
		name = device.Master
	}
	return topo.DevicePlan{}, false
}

// portOf is a node's port of a name, in the plan.
func portOf(node *harness.Node, name string) (topo.PortPlan, bool) {
	plan, _ := node.Lab().Plan().Node(node.Name())
	port, has := plan.Port(name)
	if !has {
		return topo.PortPlan{}, false
	}
	return *port, true
}

// bridgedTo are the segments to which a bridge in a node joins that of a port.
func bridgedTo(node *harness.Node, port string) (segments []string) {
	_ = look(node, func(ns inspect.Namespace) error {
		links, err := ns.Links()
		if err != nil {
			return fmt.Errorf("list links: %w", err)
		}
		at := slices.IndexFunc(links, func(l inspect.Link) bool { return l.Name == port })
		if at < 0 || links[at].Master == 0 {
			return nil
		}
		bridge := func(l inspect.Link) bool { return l.Index == links[at].Master && l.Kind == "bridge" }
		for _, l := range links {
			if p, planned := portOf(node, l.Name); planned && l.Master == links[at].Master && slices.ContainsFunc(links, bridge) {
				segments = append(segments, p.Segment)
			}
		}
		return nil
	})
	return segments
}
