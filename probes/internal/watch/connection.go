package watch

import (
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

// Peer is a node that a connection's first packet came in at, with the two ends as they
// were there: translation may have changed both on the way.
type Peer struct {
	Node          *harness.Node
	Local, Remote netip.AddrPort
	// Whole is true where the whole handshake was seen: the first packet came in, the
	// answer to it is the node's own, and the last packet came in as well.
	Whole bool
}

// segment is a packet of a connection at a tap.
type segment struct {
	point     *point
	direction evidence.Direction
	wire.Tuple
	flags byte
}

const handshakeFlags = wire.SYN | wire.ACK | wire.RST

func (s segment) is(flags byte) bool { return s.flags&handshakeFlags == flags }

// Peers are the nodes that may have the other end of the trail's connection, in the order
// in which it came to them.
func (w *Watch) Peers(t *Trail) (peers []Peer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	var known []segment
	for _, s := range t.segments {
		if s.direction != evidence.In || !s.is(wire.SYN) || slices.ContainsFunc(known, func(k segment) bool { return k.point == s.point && k.Tuple == s.Tuple }) {
			continue
		}
		known = append(known, s)
		peers = append(peers, Peer{
			Node:   s.point.node,
			Local:  netip.AddrPortFrom(s.Destination, s.DestinationPort),
			Remote: netip.AddrPortFrom(s.Source, s.SourcePort),
			Whole:  t.shook(s),
		})
	}
	return peers
}

// shook says whether a handshake that a first packet began was seen to be over at the node
// that it came in at. What that hands on came in there before it left.
func (t *Trail) shook(first segment) bool {
	answered := false
	for _, s := range t.segments {
		switch {
		case s.point != first.point:
		case s.is(wire.SYN | wire.ACK):
			if !answered && (s.direction != evidence.Out || s.Tuple != first.Reverse()) {
				return false
			}
			answered = true
		case answered && s.is(wire.ACK) && s.direction == evidence.In && s.Tuple == first.Tuple:
			return true
		}
	}
	return false
}
