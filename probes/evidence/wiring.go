package evidence

import "github.com/nstest/nstest/harness"

// wiring is what the plans of the watched nodes' labs say of their links.
type wiring struct {
	ports map[string][]PortState
	peers map[End][]End
}

func wiringOf(nodes []*harness.Node) wiring {
	w := wiring{ports: map[string][]PortState{}, peers: map[End][]End{}}
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
			at := End{own.Node, own.Port}
			for _, ref := range segment.Ports {
				if other := (End{ref.Node, ref.Port}); other != at {
					w.peers[at] = append(w.peers[at], other)
				}
			}
		}
	}
	for _, node := range plan.Nodes {
		for _, port := range node.Ports {
			state := PortState{End: End{node.Name, port.Name}, Addrs: port.Addrs}
			for _, route := range node.Routes {
				if route.Dev == port.Name {
					state.Routes = append(state.Routes, route.To)
				}
			}
			w.ports[node.Name] = append(w.ports[node.Name], state)
		}
	}
}
