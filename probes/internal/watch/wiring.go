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
	// segments are the links, by their ends.
	segments map[verdict.End]onLink
}

// onLink is a link that packets take between nodes: its name is unique in the watch, and
// outside is true where there are others on it, who are not watched.
type onLink struct {
	name    string
	outside bool
}

func newWiring() wiring {
	return wiring{
		ports: map[string][]verdict.PortState{}, peers: map[verdict.End][]verdict.End{}, segments: map[verdict.End]onLink{},
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
	for _, domain := range plan.Segments {
		access := map[int]bool{} // the ports of a VLAN that are those of the switch below
		for i, ref := range domain.Ports {
			if node, is := plan.Node(ref.Node); is && domain.Over != "" {
				port, has := node.Port(ref.Port)
				access[i] = has && port.Over != ""
			}
		}
		refs := domain.Ports
		for _, other := range plan.Patched(domain.Name) {
			if other.Name != domain.Name {
				refs = append(slices.Clone(refs), other.Ports...)
			}
		}
		for i, own := range domain.Ports {
			at := verdict.End{Node: label(own.Node), Interface: own.Port}
			for j, ref := range refs {
				if access[i] && access[j] {
					continue // they are by the switch
				}
				if other := (verdict.End{Node: label(ref.Node), Interface: ref.Port}); other != at {
					w.peers[at] = append(w.peers[at], other)
					w.addBond(lab, at, ref.Node, other)
				}
			}
		}
	}
	for _, node := range plan.Nodes {
		name := label(node.Name)
		for _, port := range node.Devices {
			if cable, outside := lab.Cable(node.Name, port.Name); cable != "" {
				w.segments[verdict.End{Node: name, Interface: port.Name}] = onLink{plan.Name + ":" + cable, outside}
			}
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

// addBond makes the bond that a port is one of a peer as well: that has the addresses.
func (w wiring) addBond(lab *harness.Lab, at verdict.End, name string, other verdict.End) {
	node, _ := lab.Plan().Node(name)
	if node == nil || other.Node == at.Node {
		return
	}
	port, _ := node.Device(other.Interface)
	if port == nil || port.Master == "" {
		return
	}
	master, _ := node.Device(port.Master)
	bond := verdict.End{Node: other.Node, Interface: port.Master}
	if master != nil && master.Kind == "bond" && !slices.Contains(w.peers[at], bond) {
		w.peers[at] = append(w.peers[at], bond)
	}
}

// wire notes how the nodes of a lab hang together. The caller holds w.mu.
func (w *Watch) wire(lab *harness.Lab) {
	w.labs[lab] = lab.Plan()
	clear(w.ways)
	w.plan.add(lab, func(name string) string {
		for _, p := range w.points {
			if p.node.Lab() == lab && p.node.Name() == name {
				return p.label
			}
		}
		return name
	})
}

// rewire notes it again where it was changed: the plan of a lab of attached namespaces is
// what is there now. The caller holds w.mu.
func (w *Watch) rewire() {
	changed := false
	for lab, plan := range w.labs {
		changed = changed || lab.Plan() != plan
	}
	if !changed {
		return
	}
	w.plan, w.linked = newWiring(), nil
	for lab := range w.labs {
		w.wire(lab)
	}
}
