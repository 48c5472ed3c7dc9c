package watch

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// rare are protocols that are traced from the first such probe on, since a node's other packets
// would be compared for nothing: taps hear them anyway.
var rare = map[wire.Protocol]struct {
	name    string
	matches func(mark) [][]expr.Any
}{
	wire.UDPLite: {"UDP-Lite", func(mark) [][]expr.Any { return datagramMatches(unix.IPPROTO_UDPLITE) }},
	wire.SCTP:    {"SCTP", mark.tagMatches},
}

// hearRare has a rare protocol traced.
func (w *Watch) hearRare(f wire.Flow) error {
	r, is := rare[f.Protocol]
	if !is || slices.Contains(w.rare, f.Protocol) {
		return nil
	}
	w.rare = append(w.rare, f.Protocol)
	for _, p := range w.points {
		if p.table == nil {
			continue
		}
		if err := p.putBack(w, p.table.addBesides(r.matches(w.mark))); err != nil {
			w.rare = w.rare[:len(w.rare)-1]
			return fmt.Errorf("node %s: hear %s: %w", p.node, r.name, err)
		}
	}
	return nil
}

// besides is what is traced at a node besides what the mark matches.
func (w *Watch) besides() (matches [][]expr.Any) {
	if w.parts {
		matches = append(matches, partedMatches()...)
	}
	for _, protocol := range w.rare {
		matches = append(matches, rare[protocol].matches(w.mark)...)
	}
	return matches
}

// tagMatches are the conditions of SCTP whose tag has the mark, or that names such a one.
func (m mark) tagMatches() (matches [][]expr.Any) {
	isn, mask := binary.BigEndian.AppendUint32(nil, m.isn), binary.BigEndian.AppendUint32(nil, isnMask)
	for _, offset := range []int{sctpTag, sctpInitTag} {
		matches = append(matches, join(protocolIs(unix.IPPROTO_SCTP), payloadIs(offset, isn, mask)))
	}
	return matches
}
