package watch

import (
	"errors"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/vishvananda/netlink"
)

// Queued says at which interface of a node, or of a switch that it sends to, a queue drops packets
// like the trail's, which again sends once more, and of what kind that is: the kernel counts for
// each queue what that drops. It is the zero End where none does.
func (w *Watch) Queued(t *Trail, node string, again func() (*Trail, error)) (at verdict.End, kind string) {
	heard := Heard{Queue: verdict.End{Node: node}}
	c := w.Explain(t, heard)
	if c.Kind != evidence.Queue {
		return at, ""
	}
	before, err := w.queued(node, c.Switch)
	if err != nil || len(before) == 0 {
		return at, ""
	}
	shown := w.tryAgain(&try{
		trail: t, heard: heard, first: c, again: again, names: true,
		moved: func(func(string) uint64, uint64) bool {
			after, err := w.queued(node, c.Switch)
			if err != nil {
				return false
			}
			if i := slices.IndexFunc(after, func(q queuedAt) bool { return q.drops > dropsOf(before, q) }); i >= 0 {
				at, kind = after[i].End, after[i].kind
			}
			return at.Node != ""
		},
	})
	if !shown {
		return verdict.End{}, ""
	}
	return at, kind
}

// queuedAt is what queueing disciplines of a kind have dropped at an interface.
type queuedAt struct {
	verdict.End
	kind  string
	drops uint32
}

func dropsOf(all []queuedAt, like queuedAt) (drops uint32) {
	for _, q := range all {
		if q.End == like.End && q.kind == like.kind {
			drops = q.drops
		}
	}
	return drops
}

// queued is what the queues of a node's interfaces have dropped, or of the ends of a switch that it
// is at: of an interface first those that are asked last, for what one drops who asked it drops, too.
func (w *Watch) queued(node, segment string) (dropped []queuedAt, err error) {
	p := w.pointOf(node)
	if p == nil {
		return nil, nil
	}
	add := func(at verdict.End, q inspect.Qdisc) {
		dropped = slices.Insert(dropped, 0, queuedAt{at, q.Kind, q.Drops})
	}
	if segment != "" {
		ports, err := p.node.Lab().Switch(segment)
		labels := w.labelsOf(p.node.Lab())
		for _, port := range ports {
			for _, q := range passed(port, p.node.Name()) {
				add(verdict.End{Node: labels[port.Node], Interface: port.Port}, q)
			}
		}
		return dropped, err
	}
	ns, err := NamespaceOf(p.node)
	if err != nil {
		return nil, err
	}
	qdiscs, err := ns.Qdiscs()
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		err = nil
	}
	for _, q := range qdiscs {
		if link, err := p.node.Netlink().LinkByIndex(q.Index); err == nil {
			add(verdict.End{Node: node, Interface: link.Attrs().Name}, q)
		}
	}
	return dropped, err
}

// passed are the queueing disciplines of a switch's end that what a node sends there may pass.
func passed(port harness.SwitchPort, node string) []inspect.Qdisc {
	var own []inspect.Qdisc
	for _, from := range port.From {
		if from.Node == node {
			own = append(own, from.Qdiscs...)
		}
	}
	if own != nil {
		return own
	}
	return port.Qdiscs
}
