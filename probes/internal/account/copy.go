package account

import "slices"

// kinship is how much a record is like what became of a visit's packet.
func (b *book) kinship(v *visit, r *Record) int {
	most := likeness(v.head, r.Before)
	for _, l := range v.lines {
		most = max(most, likeness(l.last().After, r.Before))
	}
	return most
}

// send gives a record of what a node itself sent to what it is a copy of: of what came
// to its rules before, the last that is like it, as a copy is made while the original is
// in the rules' hands. A new packet is a visit of its own.
func (b *book) send(r *Record) {
	if l := b.vrf(r); l != nil {
		l.records = append(l.records, r)
		return
	}
	at := station{node: r.Node}
	v := b.copied(at, r.Before, func(v *visit) (like, late int) { return b.kinship(v, r), v.turn })
	if v == nil {
		v = b.remade(at)
	}
	if v != nil {
		v.lines = append(v.lines, &line{records: []*Record{r}, clone: true})
		return
	}
	v = &visit{at: at, head: r.Before, lines: []*line{{records: []*Record{r}}}}
	b.visits = append(b.visits, v)
	b.turn(v)
}

// vrf is the line of a packet that passed the hooks for a VRF, and passes them again for
// an interface of it.
func (b *book) vrf(r *Record) *line {
	for _, v := range b.visits {
		for _, l := range v.lines {
			if last := l.last(); v.at.node == r.Node && last.ID == r.ID && last.Out != 0 && last.Out == b.link(r.Node, r.Out).Master && compatible(last.After, r.Before) {
				return l
			}
		}
	}
	return nil
}

// copied is the visit that what leaves a node is a copy of, though it did not come in
// there as such; nil when it is new. Of several it is that of the same identity, and
// of these the latest. Without an identity nobody can tell a copy from a retransmission: it is
// new, unless the asker sent no more.
func (b *book) copied(at station, h Header, like func(*visit) (like, late int)) *visit {
	made := b.role == Request && at.node == b.Asker
	v, ok := best(b.visits, func(v *visit) int {
		n, late := like(v)
		known := h.Identity != 0 && v.head.Identity == h.Identity
		switch {
		case v.at != at || v.foreign() || n == 0:
			return 0
		case v.own() && !known || !v.own() && made:
			return 0
		case known:
			return len(b.visits) + len(b.Records) + late + 1
		case n&sameTuple == 0, b.answersItself(v, h): // of other addresses; its own
			return 0
		}
		return late + 1
	})
	if !ok && made && h.Identity == 0 && b.Sent > 0 && b.made() >= b.Sent {
		return b.lastMade()
	}
	return v
}

// answersItself says whether an answer or a refusal that leaves a node is no copy of one that came: a
// copy has less time to live (nf_dup_ipv4, net/ipv4/netfilter/nf_dup_ipv4.c).
func (b *book) answersItself(v *visit, h Header) bool {
	return (b.role == Answer || b.role == Refusal) && !v.own() && v.head.TTL != 0 && h.TTL >= v.head.TTL
}

// remade is a visit whose packet a program at the station may have got and sent on as
// its own: of those that were let in the one that this happened to least.
func (b *book) remade(at station) *visit {
	if b.role > Answer || b.role == Request && at.node == b.Asker {
		return nil
	}
	v, _ := best(b.visits, func(v *visit) int {
		if v.at != at || v.own() || v.foreign() || len(v.lines) == 0 || !v.lines[0].came(IP, InputHook) {
			return 0
		}
		return len(b.visits) - min(len(v.lines), len(b.visits)-1)
	})
	return v
}

// made counts the requests that the asker was seen to send.
func (b *book) made() (n int) {
	for _, v := range b.visits {
		if v.own() && v.at == (station{node: b.Asker}) {
			n++
		}
	}
	return n
}

func (b *book) lastMade() *visit {
	for _, v := range slices.Backward(b.visits) {
		if v.own() && v.at == (station{node: b.Asker}) {
			return v
		}
	}
	return nil
}
