package watch

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness"
)

// keepUp has the watch see into nodes that have come to its labs since, and into none that
// are no more: see Lab.Change. The caller holds w.mu.
func (w *Watch) keepUp() error {
	for lab := range w.labs {
		plan := lab.Plan() // before its nodes are asked for
		if w.seen[lab] == plan || attached(lab) {
			continue
		}
		nodes := lab.Nodes()
		w.unwatch(func(p *point) bool { return p.node.Lab() == lab && !slices.Contains(nodes, p.node) })
		err := w.see(slices.DeleteFunc(nodes, func(node *harness.Node) bool { return w.of[node] != nil }))
		if err != nil && w.stay(lab, nodes) {
			return err
		}
		if err != nil {
			continue // next time
		}
		w.seen[lab] = plan
	}
	return nil
}

// stay says whether all of some nodes are still those of the lab.
func (w *Watch) stay(lab *harness.Lab, nodes []*harness.Node) bool {
	now := lab.Nodes()
	return !slices.ContainsFunc(nodes, func(node *harness.Node) bool { return !slices.Contains(now, node) })
}

// turn counts the changes of the watch's labs; odd while one is being made.
func (w *Watch) turn() (turn uint64) {
	odd := uint64(0)
	for lab := range w.labs {
		of := lab.Turn()
		odd |= of & 1
		turn += of &^ 1
	}
	return turn | odd
}

// steady has nothing concluded of a probe during which a lab was changed: where its packets
// went then, what stands there now does not say.
func (w *Watch) steady(t *Trail) {
	if t.lost == "" && !t.done && (t.turn&1 == 1 || w.turn() != t.turn) {
		t.lost = "the lab was changed while the probe was under way: ask again"
	}
}

// see opens what stands at nodes. The caller holds w.mu.
func (w *Watch) see(nodes []*harness.Node) error {
	if len(nodes) == 0 {
		return nil
	}
	program, err := w.filter()
	if err != nil {
		return err
	}
	var points []*point
	err = harness.Visit(nodes, func(node *harness.Node) error {
		p, err := openPoint(node, w.newLabel(node), program)
		points = append(points, p)
		w.byLabel[p.label] = p
		if err != nil {
			return fmt.Errorf("node %s: %w", node, err)
		}
		return nil
	})
	for _, p := range points {
		if err == nil {
			err = w.listenAt(p)
		}
	}
	if err != nil {
		for _, p := range points {
			delete(w.byLabel, p.label)
		}
		closeAll(points)
		return err
	}
	w.points, w.linked = append(w.points, points...), nil
	for _, p := range points {
		w.of[p.node] = p
		if covers(p.node) {
			p.uses = newUses(ledgerOf(p.node), w.mark, w.ports)
			p.uses.before = func() { w.Drain(); p.uses.end() }
		}
	}
	return nil
}
