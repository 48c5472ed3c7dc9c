package policy

// field is what rules ask of a packet.
type field int

const (
	fieldIn    field = iota // the index of the interface that it came in by; 0 for none
	fieldOut                // and of the one that it is to leave by
	fieldSrc                // of 4 or of 16 bytes, by the family
	fieldDst                //
	fieldProto              // the upper protocol
	fieldHead               // how much of the upper header is there: headWhole and so on
	fieldSport              // the ports of protocols that have some
	fieldDport              //
	fieldType               // ICMP's
	fieldCode               //
	fieldFlags              // TCP's
	fieldState              // conntrack's, a bit of expr.CtStateBit
	fieldMark
	fieldTTL    // as it is at the hook
	fieldStatus // which addresses of its connection were translated: bits of conntrack's status, as far as they tell
	fields
)

// How much of the upper header a packet has: a rule that reads what is not there does not match.
const (
	headWhole = iota
	headNone
	headPorts // eight bytes of it
)

// box are the packets whose every field is in a set.
type box [fields]set

func (b *box) and(o *box) (both box, some bool) {
	for f := range b { // most have nothing in common, which is cheap to see
		if x, y := b[f], o[f]; len(x) == 1 && len(y) == 1 && (x[0].last.compare(y[0].first) < 0 || y[0].last.compare(x[0].first) < 0) {
			return both, false
		}
	}
	for f := range b {
		both[f] = b[f].and(o[f])
		if both[f].isEmpty() {
			return both, false
		}
	}
	return both, true
}

func (b *box) meets(o *box) bool {
	_, some := b.and(o)
	return some
}

func (b *box) has(p *point) bool {
	for f := range b {
		if b[f] != nil && !b[f].has(p[f]) {
			return false
		}
	}
	return true
}

func (b *box) isEmpty() bool {
	for f := range b {
		if b[f].isEmpty() {
			return true
		}
	}
	return false
}

// point is one packet.
type point [fields]number

// without are boxes that have no packet in common, and together all of b that are not in o.
func (b box) without(o *box, domain *box) (pieces []box) {
	for f := range b {
		if o[f] == nil {
			continue
		}
		have := b[f]
		if have == nil {
			have = domain[f]
		}
		if rest := have.without(o[f]); !rest.isEmpty() {
			piece := b
			piece[f] = rest
			pieces = append(pieces, piece)
		}
		if b[f] = have.and(o[f]); b[f].isEmpty() {
			return pieces
		}
	}
	return pieces
}

// andAll are the packets of both unions.
func andAll(a, b []box) (both []box) {
	for i := range a {
		for j := range b {
			if box, some := a[i].and(&b[j]); some {
				both = append(both, box)
			}
		}
	}
	return both
}
