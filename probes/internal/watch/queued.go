package watch

import (
	"errors"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/vishvananda/netlink"
)

// Queued says at which interface of a node a queue drops packets like the trail's, which again
// sends once more: the kernel counts for each queue what that drops. It is the zero End where
// none does.
func (w *Watch) Queued(t *Trail, node string, again func() (*Trail, error)) (at verdict.End) {
	heard := Heard{Queue: verdict.End{Node: node}}
	c := w.Explain(t, heard)
	if c.Kind != evidence.Queue {
		return at
	}
	p := w.pointOf(node)
	before, err := p.queued()
	if err != nil || len(before) == 0 {
		return at
	}
	shown := w.tryAgain(&try{
		trail: t, heard: heard, first: c, again: again, mayArrive: func(*Trail) bool { return true },
		moved: func(func(string) uint64, uint64) bool {
			after, err := p.queued()
			for name, drops := range after {
				if err == nil && drops > before[name] {
					at = verdict.End{Node: node, Interface: name}
				}
			}
			return at.Node != ""
		},
	})
	if !shown {
		return verdict.End{}
	}
	return at
}

// queued is what the queues of the node's interfaces have dropped, by the interface; without
// those that have none.
func (p *point) queued() (map[string]uint32, error) {
	drops, err := p.dropped(func(kind string) bool { return !isFilters(kind) && kind != "noqueue" })
	dropped := map[string]uint32{}
	for index, n := range drops {
		if link, err := p.node.Netlink().LinkByIndex(index); err == nil {
			dropped[link.Attrs().Name] = n
		}
	}
	return dropped, err
}

// dropped is what queueing disciplines of some kinds have dropped at the node's interfaces, by the
// interface's index.
func (p *point) dropped(of func(kind string) bool) (map[int]uint32, error) {
	queues, err := p.node.Netlink().QdiscList(nil)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, err
	}
	drops := map[int]uint32{}
	for _, q := range queues {
		if a := q.Attrs(); of(q.Type()) && a.Statistics != nil && a.Statistics.Queue != nil {
			drops[a.LinkIndex] += a.Statistics.Queue.Drops
		}
	}
	return drops, nil
}
