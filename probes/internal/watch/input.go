package watch

import (
	"net/netip"
	"slices"

	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
)

// input is all that was seen of a probe's packets. The caller holds w.mu.
func (w *Watch) input(t *Trail) account.Input {
	in := account.Input{
		Asker: t.Flow.From, Target: t.Flow.To, Owners: w.owners(t.Flow), Way: w.wayOf(t), Sent: t.sent,
		Nodes: w.nodes(), Links: w.links(), Sightings: t.sightings, Lost: t.lost,
	}
	for _, r := range t.records {
		in.Records = append(in.Records, r.Record)
	}
	return in
}

// nodes are what can be seen into of each. They are one map for many accounts, which
// keep it.
func (w *Watch) nodes() map[string]account.Node {
	if w.seenInto != nil {
		return w.seenInto
	}
	nodes := make(map[string]account.Node, len(w.points))
	for _, p := range w.points {
		n := account.Node{Traced: p.table != nil && p.table.families[familyINet]}
		if p.ruledLegacy || !p.node.Traced() && p.ruled {
			n.Opaque = "its rules are not traced"
		}
		nodes[p.label] = n
	}
	w.seenInto = nodes
	return nodes
}

// links are the interfaces of the nodes, with the segments of the plan that they are
// at.
func (w *Watch) links() map[string][]account.Link {
	w.rewire()
	if w.linked != nil && !slices.ContainsFunc(w.points, func(p *point) bool { return p.devices == nil }) {
		return w.linked
	}
	w.linked = make(map[string][]account.Link, len(w.points))
	for _, p := range w.points {
		if p.devices == nil {
			p.readDevices()
		}
		for _, d := range p.devices {
			link := d.Link
			on := w.plan.segments[verdict.End{Node: p.label, Interface: d.Name}]
			link.Segment, link.Outside = on.name, on.outside
			w.linked[p.label] = append(w.linked[p.label], link)
		}
	}
	return w.linked
}

// wayKey is what a way is found by.
type wayKey struct {
	from string
	to   netip.Addr
}

// wayOf is a trail's way, found once as long as the plans are what they are.
func (w *Watch) wayOf(t *Trail) []string {
	key := wayKey{t.Flow.From, t.Flow.Addr}
	way, known := w.ways[key]
	if !known {
		way = w.way(t.Flow)
		w.ways[key] = way
	}
	return way
}

// mostHops bounds a way.
const mostHops = 64

// way are the nodes that the plan leads a request by, from the asker to the target; nil
// where it has none.
func (w *Watch) way(f wire.Flow) []string {
	way := []string{f.From}
	for label := f.From; len(way) < mostHops; {
		p := w.byLabel[label]
		if p == nil {
			return nil
		}
		if slices.Contains(p.node.Addrs(), f.Addr) {
			return way
		}
		next, ok := p.node.Lab().Plan().Way(p.node.Name(), f.Addr)
		if !ok {
			return nil
		}
		to := f.Addr
		if next.Via.IsValid() {
			to = next.Via
		}
		if label = w.plan.peerWith(verdict.End{Node: label, Interface: next.Dev}, to); label == "" {
			return nil
		}
		way = append(way, label)
	}
	return nil
}
