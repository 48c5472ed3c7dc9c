package watch

import (
	"fmt"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// hearLite has datagrams of UDP-Lite traced, from the first such probe on: taps hear them anyway.
func (w *Watch) hearLite(f wire.Flow) error {
	if f.Protocol != wire.UDPLite || w.lite {
		return nil
	}
	w.lite = true
	for _, p := range w.points {
		if p.table == nil {
			continue
		}
		if err := p.table.addBesides(datagramMatches(unix.IPPROTO_UDPLITE)); err != nil {
			w.lite = false
			return fmt.Errorf("node %s: hear UDP-Lite: %w", p.node, err)
		}
	}
	return nil
}

// besides is what is traced at a node besides what the mark matches.
func (w *Watch) besides() (matches [][]expr.Any) {
	if w.parts {
		matches = append(matches, partedMatches()...)
	}
	if w.lite {
		matches = append(matches, datagramMatches(unix.IPPROTO_UDPLITE)...)
	}
	return matches
}
