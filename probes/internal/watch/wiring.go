package watch

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/verdict"
)

// wiring is what the plans of the watched nodes' labs say of their links.
type wiring struct {
	ports map[string][]verdict.PortState
	peers map[verdict.End][]verdict.End
}

func wiringOf(nodes []*harness.Node) wiring {
	w := wiring{ports: map[string][]verdict.PortState{}, peers: map[verdict.End][]verdict.End{}}
	seen := map[*harness.Lab]bool{}
	for _, node := range nodes {
		if !seen[node.Lab()] {
			seen[node.Lab()] = true
			w.add(node.Lab())
		}
	}
	return w
}

func (w wiring) add(lab *harness.Lab) {
	plan := lab.Plan()
	for _, segment := range plan.Segments {
		for _, own := range segment.Ports {
			at := verdict.End{Node: own.Node, Interface: own.Port}
			for _, ref := range segment.Ports {
				if other := (verdict.End{Node: ref.Node, Interface: ref.Port}); other != at {
					w.peers[at] = append(w.peers[at], other)
				}
			}
		}
	}
	for _, node := range plan.Nodes {
		for _, port := range node.Ports {
			state := verdict.PortState{End: verdict.End{Node: node.Name, Interface: port.Name}, Addrs: port.Addrs}
			for _, route := range node.Routes {
				if route.Dev == port.Name {
					state.Routes = append(state.Routes, route.To)
				}
			}
			w.ports[node.Name] = append(w.ports[node.Name], state)
		}
	}
}
