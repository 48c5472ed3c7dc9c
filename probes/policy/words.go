package policy

import (
	"fmt"
	"slices"
	"strings"
)

// teller puts boxes of a hull into words.
type teller struct {
	*world
	hull  box
	never []box
	// unsaid are the states of connections of which nothing is said, nil where none is told apart.
	unsaid set
}

// text is a box in words: "tcp 80, 443 to 10.0.2.0/25". Of packets that are translated it goes without saying that they begin a connection.
func (t *teller) text(b *box, translated bool) string {
	b = t.relax(b)
	var words []string
	say := func(format string, s string) {
		if s != "" {
			words = append(words, fmt.Sprintf(format, s))
		}
	}
	if !translated || !slices.Equal(b[fieldState], just(stateNew)) {
		say("%s", t.states(b))
	}
	say("%s", t.upper(b))
	say("with flags %s", t.set(b, fieldFlags, flagsText))
	say("from %s", t.set(b, fieldSrc, t.addrs))
	say("from port %s", t.set(b, fieldSport, t.numbers))
	say("to %s", t.set(b, fieldDst, t.addrs))
	say("in by %s", t.set(b, fieldIn, t.devices))
	say("out by %s", t.set(b, fieldOut, t.devices))
	say("with mark %s", t.set(b, fieldMark, t.numbers))
	say("with TTL %s", t.set(b, fieldTTL, t.numbers))
	say("%s", t.length(b))
	switch begins := slices.Equal(b[fieldState], just(stateNew)); {
	case len(words) == 0 && translated && begins && !t.all(b, fieldState):
		return "all new" // as all else are those that are not
	case len(words) == 0:
		return "all"
	}
	return strings.Join(words, " ")
}

// relax is a box that has all values of a field where there are no packets with the others.
func (t *teller) relax(b *box) *box {
	made := *b
	for f := range made {
		if t.all(&made, field(f)) {
			continue
		}
		others := made
		others[f] = t.hull[f].without(made[f])
		if len(t.less([]box{others}, t.never)) == 0 {
			made[f] = t.hull[f]
		}
	}
	return &made
}

// set is what a box has of a field, "" for all.
func (t *teller) set(b *box, f field, say func(s, of set) string) string {
	if t.all(b, f) {
		return ""
	}
	return say(b[f], t.hull[f])
}

// all says whether a box has every value of a field.
func (t *teller) all(b *box, f field) bool { return b[f] == nil || slices.Equal(b[f], t.hull[f]) }

// statesInOrder are those of connections, as people name them.
var statesInOrder = []uint64{stateNew, stateEstablished, stateRelated, stateInvalid, stateUntracked}

func (t *teller) states(b *box) string {
	switch {
	case t.unsaid == nil || slices.Equal(b[fieldState], t.unsaid):
		return ""
	case t.all(b, fieldState):
		return "of any state:"
	}
	var words []string
	for _, state := range statesInOrder {
		if b[fieldState].has(small(state)) {
			words = append(words, stateWords[state])
		}
	}
	return strings.Join(words, ", ")
}

// upper is the protocol, with its port or type.
func (t *teller) upper(b *box) string {
	var words []string
	if !t.all(b, fieldProto) {
		words = append(words, listText(b[fieldProto], t.hull[fieldProto], func(n number) string { return protocolWord(uint8(n.lo)) }))
	}
	if ports := t.set(b, fieldDport, t.numbers); ports != "" {
		words = append(words, ports)
	}
	v6 := t.v6
	types := func(s, of set) string {
		return listSpans(s, of, func(x span) string { return typesText(v6, x) })
	}
	if text := t.set(b, fieldType, types); text != "" {
		words = append(words, text)
	}
	if text := t.set(b, fieldCode, t.numbers); text != "" {
		words = append(words, "code "+text)
	}
	return strings.Join(words, " ")
}

// length says of packets that end too soon, where that is not said by what else they have.
func (t *teller) length(b *box) string {
	if t.all(b, fieldHead) {
		return ""
	}
	asked := slices.ContainsFunc([]field{fieldSport, fieldDport, fieldType, fieldCode, fieldFlags}, func(f field) bool { return !t.all(b, f) })
	whole, ports, none := b[fieldHead].has(small(headWhole)), b[fieldHead].has(small(headPorts)), b[fieldHead].has(small(headNone))
	switch {
	case whole && asked:
		return ""
	case whole && ports:
		return "with ports"
	case whole:
		return "not cut short"
	case ports && none:
		return "cut short"
	case ports:
		return "cut short after eight bytes"
	}
	return "cut short before its " + t.first(b)
}

// first is what upper headers begin with.
func (t *teller) first(b *box) string {
	switch protocols := b[fieldProto].and(t.hull[fieldProto]); {
	case len(protocols.without(icmp)) == 0:
		return "type"
	case len(protocols.without(withPorts)) == 0:
		return "ports"
	}
	return "ports or type"
}

// listText are the parts of a set, or those that it leaves out, whichever are fewer.
func listText(s, of set, say func(number) string) string {
	return listSpans(s, of, func(x span) string { return spanText(x, say) })
}

func listSpans(s, of set, say func(span) string) string {
	in, out := runs(s, of), runs(of.without(s), of)
	list := func(all []span) string {
		var words []string
		for _, x := range all {
			words = append(words, say(x))
		}
		return strings.Join(words, ", ")
	}
	if len(out) > 0 && len(out) < len(in) {
		return "all but " + list(out)
	}
	return list(in)
}

// runs are the spans of a set, together where nothing that is not in it lies between them.
func runs(s, of set) (all []span) {
	others := of.without(s)
	for _, x := range s {
		top := len(all) - 1
		if top >= 0 && others.and(between(all[top].last, x.first)).isEmpty() {
			all[top].last = x.last
			continue
		}
		all = append(all, x)
	}
	return all
}

func spanText(x span, say func(number) string) string {
	if x.first == x.last {
		return say(x.first)
	}
	return say(x.first) + "-" + say(x.last)
}

func (t *teller) numbers(s, of set) string {
	return listText(s, of, func(n number) string { return fmt.Sprint(n.lo) })
}

func (t *teller) devices(s, of set) string { return listText(s, of, t.name) }

// addrs are addresses: as a prefix, where it has no others that there may be, or else from one to another.
func (t *teller) addrs(s, of set) string {
	in, out := s, of.without(s)
	if less := t.ranges(out, in, of); len(out) > 0 && len(less) < len(t.ranges(in, out, of)) {
		return "all but " + strings.Join(less, ", ")
	}
	return strings.Join(t.ranges(in, out, of), ", ")
}

// ranges are addresses in words; others are those that do not belong to them.
func (t *teller) ranges(s, others, of set) (words []string) {
	addr := func(n number) string { return n.addr(t.v6).String() }
	for _, x := range runs(s, of) {
		if p := prefixAround(x, t.v6); x.first != x.last && others.and(prefixSet(p)).isEmpty() {
			words = append(words, p.String())
			continue
		}
		const few = 3 // between which are the node's own, or a network's
		var near set
		for _, y := range s.and(set{x}) {
			if top := len(near) - 1; top >= 0 && y.first.minus(near[top].last) <= few {
				near[top].last = y.last
				continue
			}
			near = append(near, y)
		}
		for _, y := range near {
			words = append(words, spanText(y, addr))
		}
	}
	return words
}
