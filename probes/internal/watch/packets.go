package watch

import (
	"slices"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/wire"
)

// Packets are the packets of the probe, each followed to its one end, of what was seen
// until now.
func (w *Watch) Packets(t *Trail) []evidence.Packet {
	a := w.Account(t)
	w.mu.Lock()
	defer w.mu.Unlock()
	packets := make([]evidence.Packet, len(a.Packets))
	for i, p := range a.Packets {
		packets[i] = t.packet(p)
	}
	return packets
}

// fates are the ends in one word.
var fates = map[account.Kind]evidence.Fate{
	account.Unknown: evidence.Unwatched, account.Dropped: evidence.Dropped, account.Delivered: evidence.Delivered,
	account.Waiting: evidence.Waiting, account.Taken: evidence.Taken, account.Died: evidence.Ended,
	account.OnTheLink: evidence.OnTheLink, account.Strayed: evidence.Strayed, account.Unsent: evidence.Unsent,
}

// packet is what is told of a packet; the caller holds the watch.
func (t *Trail) packet(p account.Packet) evidence.Packet {
	packet := evidence.Packet{
		Role: evidence.Role(p.Role), Copy: p.Copy, From: p.From, Stray: p.Stray, Fragment: p.Piece() != account.Piece{},
		Fate: fates[p.End.Kind], Node: p.End.Node, Interface: p.End.Interface,
		Seen: p.End.Seen && !p.Gap, Rule: t.rule(p.End), Detail: p.End.Words(),
	}
	for _, place := range p.Way {
		if place.Direction != 0 {
			packet.Way = append(packet.Way, t.sighting(p.Role, place))
		}
	}
	return packet
}

// sighting is what was seen at a place.
func (t *Trail) sighting(role account.Role, place account.Place) evidence.Sighting {
	at := slices.IndexFunc(t.timeline, func(s evidence.Sighting) bool {
		return s.Node == place.Node && s.Index == place.Index && s.Direction == evidence.Direction(place.Direction) &&
			s.Role == evidence.Role(role) && s.At.Equal(place.At) && s.TTL == place.TTL && s.Offset == place.Piece.Offset
	})
	if at >= 0 {
		return t.timeline[at]
	}
	return evidence.Sighting{
		At: place.At, Node: place.Node, Interface: place.Interface, Index: place.Index, Direction: evidence.Direction(place.Direction),
		Role: evidence.Role(role), Source: place.Source.Addr(), Destination: place.Destination.Addr(), Length: place.Length, TTL: place.TTL,
	}
}

// rule is the rule of an end, as it was seen to drop the packet: its text is read when it
// is wanted. It is nil where the end has none.
func (t *Trail) rule(end account.End) *evidence.Rule {
	r := end.Rule
	if r == nil {
		return nil
	}
	for _, s := range t.timeline {
		if o := s.Rule; o != nil && s.Node == end.Node && o.Family == r.Family && o.Table == r.Table && o.Chain == r.Chain && o.Handle == r.Handle {
			return o
		}
	}
	return &evidence.Rule{Family: r.Family, Table: r.Table, Chain: r.Chain, Handle: r.Handle, Text: r.Text}
}

// owners are the nodes that have the address which is asked, where no node is.
func (w *Watch) owners(f wire.Flow) (labels []string) {
	if f.To != "" {
		return nil
	}
	for _, p := range w.points {
		if slices.Contains(p.node.Addrs(), f.Addr.WithZone("")) {
			labels = append(labels, p.label)
		}
	}
	return labels
}
