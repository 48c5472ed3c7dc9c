package watch

import (
	"encoding/binary"
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"golang.org/x/sys/unix"
)

// Tracked says why connection tracking drops packets like the trail's at a node, which again
// sends once more: the kernel counts what it drops there. It is the zero Tracking where it does not.
func (w *Watch) Tracked(t *Trail, node string, again func() (*Trail, error)) (found verdict.Tracking) {
	heard := Heard{Tracking: verdict.Tracking{Node: node}}
	c := w.Explain(t, heard)
	if c.Kind != evidence.Conntrack || c.Leg == request && w.Account(t).Delivered() {
		return found
	}
	p := w.pointOf(node)
	before, err := p.tracking()
	if err != nil {
		return found
	}
	shown := w.tryAgain(&try{
		trail: t, heard: heard, first: c, again: again, mayArrive: func(*Trail) bool { return true },
		moved: func(func(string) uint64, uint64) bool {
			after, err := p.tracking()
			switch {
			case err != nil:
			case after.clashes > before.clashes:
				found = verdict.Tracking{Node: node, Why: "another connection has the same addresses and ports (insert_failed)"}
			case after.drops > before.drops:
				found = verdict.Tracking{Node: node, Why: "its table is full" + p.tableSize()}
			}
			return found.Node != ""
		},
	})
	if !shown {
		return verdict.Tracking{}
	}
	return found
}

// trackingDrops are what connection tracking has dropped in a namespace: what clashed with
// another connection as it was to be noted, and all.
type trackingDrops struct{ clashes, drops uint64 }

// tracking reads the counts of all processors (linux/netfilter/nfnetlink_conntrack.h).
func (p *point) tracking() (sum trackingDrops, err error) {
	const getStats, insertFailed, drop = unix.NFNL_SUBSYS_CTNETLINK<<8 | 4, 9, 10 // IPCTNL_MSG_CT_GET_STATS_CPU, CTA_STATS_
	var s *nfnl
	if err := p.node.Do(func() (err error) {
		s, err = openNfnl()
		return err
	}); err != nil {
		return sum, err
	}
	defer s.close()
	err = s.ask(getStats, unix.NLM_F_DUMP, unix.AF_UNSPEC, nil, func(_ byte, attrs []byte) {
		for kind, value := range attributes(attrs) {
			switch {
			case len(value) != 4:
			case kind == insertFailed:
				sum.clashes += uint64(binary.BigEndian.Uint32(value))
			case kind == drop:
				sum.drops += uint64(binary.BigEndian.Uint32(value))
			}
		}
	})
	return sum, err
}

// tableSize is how full the node's table of connections is, in words; "" where that is not known.
func (p *point) tableSize() string {
	have, err := p.node.Sysctl("net.netfilter.nf_conntrack_count")
	if err != nil {
		return ""
	}
	most, err := p.node.Sysctl("net.netfilter.nf_conntrack_max")
	if err != nil {
		return ""
	}
	return fmt.Sprintf(": it has %s connections (net.netfilter.nf_conntrack_max=%s)", have, most)
}
