package watch

import (
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/verdict"
)

// wiring is what the plans of the watched nodes' labs say of their links; nodes are
// labels.
type wiring struct {
	ports map[string][]verdict.PortState
	peers map[verdict.End][]verdict.End
	// segments are the names of links, by their ends: unique in the watch.
	segments map[verdict.End]string
}

func newWiring() wiring {
	return wiring{
		ports: map[string][]verdict.PortState{}, peers: map[verdict.End][]verdict.End{}, segments: map[verdict.End]string{},
	}
}

// peerWith is who has the address at the other ends of a link; "" where nobody is meant
// to.
func (w wiring) peerWith(at verdict.End, addr netip.Addr) string {
	for _, peer := range w.peers[at] {
		for _, port := range w.ports[peer.Node] {
			if port.End == peer && slices.ContainsFunc(port.Addrs, func(p netip.Prefix) bool { return p.Addr() == addr }) {
				return peer.Node
			}
		}
	}
	return ""
}

func (w wiring) add(lab *harness.Lab, label func(node string) string) {
	plan := lab.Plan()
	for _, segment := range plan.Segments {
		for _, own := range segment.Ports {
			at := verdict.End{Node: label(own.Node), Interface: own.Port}
			w.segments[at] = plan.Name + ":" + segment.Name
			for _, ref := range segment.Ports {
				if other := (verdict.End{Node: label(ref.Node), Interface: ref.Port}); other != at {
					w.peers[at] = append(w.peers[at], other)
				}
			}
		}
	}
	for _, node := range plan.Nodes {
		name := label(node.Name)
		for _, port := range node.Ports {
			state := verdict.PortState{End: verdict.End{Node: name, Interface: port.Name}, Addrs: port.Addrs}
			for _, route := range node.Routes {
				if route.Dev == port.Name {
					state.Routes = append(state.Routes, route.To)
				}
			}
			w.ports[name] = append(w.ports[name], state)
		}
	}
}
