package watch

import (
	"slices"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/vishvananda/netlink"
)

// switchBook remembers the switches that were read: hundreds of probes may ask for one at
// once.
type switchBook struct {
	mu    sync.Mutex
	known map[switchKey]switchEntry
}

type switchKey struct {
	lab     *harness.Lab
	segment string
}

type switchEntry struct {
	at    time.Time // it was read then or later
	ports []harness.SwitchPort
}

// flowing says whether it is an Open vSwitch.
func (k switchKey) flowing() bool {
	return slices.ContainsFunc(k.lab.OpenVSwitches(), func(o *harness.OpenVSwitch) bool { return o.Name() == k.segment })
}

// patched are the switch and those that patch ports join to it, which are like one.
func (k switchKey) patched() (all []switchKey) {
	for _, s := range k.lab.Plan().Patched(k.segment) {
		all = append(all, switchKey{k.lab, s.Name})
	}
	return all
}

// of are the ports of a segment's switch, read at since or later; none of one of which
// nothing was chosen, or that cannot be read.
func (b *switchBook) of(key switchKey, since time.Time) []harness.SwitchPort {
	b.mu.Lock()
	defer b.mu.Unlock()
	entry, known := b.known[key]
	if known && !entry.at.Before(since) {
		return entry.ports
	}
	at := time.Now()
	ports, err := key.lab.Switch(key.segment)
	if err != nil {
		return nil
	}
	if b.known == nil {
		b.known = map[switchKey]switchEntry{}
	}
	b.known[key] = switchEntry{at, ports}
	return ports
}

// readSwitch reads the switches that a node's end is at, itself or by what it is on.
func (w *Watch) readSwitch(o *verdict.Observation, at verdict.End, since time.Time) {
	p := w.pointOf(at.Node)
	if p == nil || p.node.Attached() {
		return
	}
	for _, name := range below(p.node, at.Interface) {
		w.readSwitchOf(o, p, verdict.End{Node: at.Node, Interface: name}, since)
	}
}

// below are an interface, and those that it is on or made of, in the plan.
func below(node *harness.Node, name string) []string {
	plan, _ := node.Lab().Plan().Node(node.Name())
	names := []string{name}
	for i := 0; i < len(names); i++ {
		device, is := plan.Device(names[i])
		if !is {
			continue
		}
		if device.Parent != "" && !slices.Contains(names, device.Parent) {
			names = append(names, device.Parent)
		}
		for _, port := range plan.Devices {
			if port.Master == device.Name && !slices.Contains(names, port.Name) {
				names = append(names, port.Name)
			}
		}
	}
	return names
}

func (w *Watch) readSwitchOf(o *verdict.Observation, p *point, at verdict.End, since time.Time) {
	if o.SwitchAt(at) != nil {
		return
	}
	segment, _ := p.node.Lab().Cable(p.node.Name(), at.Interface)
	if segment == "" {
		return
	}
	key := switchKey{p.node.Lab(), segment}
	var ports []harness.SwitchPort
	for _, k := range key.patched() {
		ports = append(ports, w.switches.of(k, since)...)
	}
	if len(ports) == 0 {
		return
	}
	s := &verdict.Switch{Name: segment, Flows: key.flowing(), Ports: map[verdict.End]inspect.BridgePort{}, Entries: map[string]verdict.End{}, Qdiscs: map[verdict.End][]inspect.Qdisc{}, Pairs: map[verdict.Pair][]inspect.Qdisc{}}
	labels := w.labelsOf(p.node.Lab())
	for _, port := range ports {
		end := verdict.End{Node: labels[port.Node], Interface: port.Port}
		s.Ports[end], s.Qdiscs[end] = port.Link.BridgePort, port.Qdiscs
		for _, from := range port.From {
			s.Pairs[verdict.Pair{From: verdict.End{Node: labels[from.Node], Interface: from.Port}, To: end}] = from.Qdiscs
		}
		for _, entry := range port.Entries {
			if entry.State&netlink.NUD_PERMANENT == 0 { // else it is the bridge's own
				s.Entries[entry.MAC] = end
			}
		}
	}
	o.Switches = append(o.Switches, s)
}

// labelsOf are what the nodes of a lab are called in the watch, by name.
func (w *Watch) labelsOf(lab *harness.Lab) map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	labels := map[string]string{}
	for _, p := range w.points {
		if p.node.Lab() == lab {
			labels[p.node.Name()] = p.label
		}
	}
	return labels
}
