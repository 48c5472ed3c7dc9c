package rules

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/nstest/nstest/harness/inspect"
)

// What a register's bytes are, so far as ports go.
const (
	holdsNothing = iota
	holdsProtocol
	holdsSource
	holdsDestination
)

// naming is a rule on its way through its expressions: which of its registers' bytes
// hold a port or a protocol.
type naming struct {
	rule      *inspect.Rule
	family    int
	holds     Registers[int]
	nfproto   int       // where a register holds the packet's family, -1 for nowhere
	least     *expr.Cmp // "at least", until it is known whether "at most" comes with it
	protocols []uint8
	spans     []span
	pairs     []pair
	ranges    []uint8 // protocols at the ends of ranges, and beside them
}

// pair is a set's element that names a protocol and ports together.
type pair struct {
	protocol uint8
	spans    []span
}

// rule adds what a rule names.
func (n *names) rule(rule *inspect.Rule) {
	r := &naming{rule: rule, nfproto: -1}
	switch rule.Chain.Table.Family {
	case "ip":
		r.family = 4
	case "ip6":
		r.family = 6
	}
	for _, e := range rule.Exprs {
		r.step(e)
	}
	r.close(nil)
	for _, p := range r.pairs {
		n.add(rule, r.family, []uint8{p.protocol}, p.spans)
	}
	if len(r.spans) == 0 && len(r.ranges) > 0 {
		n.add(rule, r.family, r.ranges, nil)
	}
	if len(r.pairs) == 0 || len(r.spans) > 0 {
		n.add(rule, r.family, r.protocols, r.spans)
	}
}

func (r *naming) step(e any) {
	if r.least != nil {
		most, _ := e.(*expr.Cmp)
		if r.close(most) {
			return
		}
	}
	switch e := e.(type) {
	case *expr.Payload:
		if e.OperationType != expr.PayloadWrite {
			r.payload(e)
		}
	case *expr.Meta:
		r.meta(e)
	case *expr.Ct:
		r.ct(e)
	case *expr.Cmp:
		r.compare(e)
	case *expr.Range:
		if len(e.FromData) <= len(e.ToData) {
			r.element(offsetOf(e.Register), e.FromData, e.ToData)
		}
	case *expr.Bitwise:
		r.move(e.SourceRegister, e.DestRegister, int(e.Len))
	case *expr.Byteorder:
		r.move(e.SourceRegister, e.DestRegister, int(e.Len))
	case *expr.Lookup:
		r.lookup(e)
	case *expr.Numgen:
		r.load(e.Register, 4)
	case *expr.Hash:
		r.load(e.DestRegister, 4)
	case *expr.Match:
		r.match(e)
	}
}

// load says what a register's bytes hold now.
func (r *naming) load(register uint32, size int) []int {
	part := r.holds.Load(register, size)
	if at := offsetOf(register); r.nfproto >= at && r.nfproto < at+len(part) {
		r.nfproto = -1
	}
	return part
}

func (r *naming) move(from, to uint32, size int) {
	held := slices.Clone(r.holds.Part(from, size))
	copy(r.load(to, size), held)
}

// payload finds the ports at the beginning of the upper header, and the protocol in
// the IP header.
func (r *naming) payload(e *expr.Payload) {
	const v4Protocol, v6Next, ports = 9, 6, 4
	part := r.load(e.DestRegister, int(e.Len))
	hold := func(field, what int) {
		if at := field - int(e.Offset); at >= 0 && at < int(e.Len) && at < len(part) {
			part[at] = what
		}
	}
	switch {
	case e.Base == expr.PayloadBaseTransportHeader && e.Offset < ports && int(e.Offset+e.Len)%2 == 0 && e.Offset%2 == 0:
		hold(0, holdsSource)
		hold(2, holdsDestination)
	case e.Base == expr.PayloadBaseNetworkHeader && e.Offset == v4Protocol && r.family != 6, e.Base == expr.PayloadBaseNetworkHeader && e.Offset == v6Next && e.Len == 1 && r.family != 4:
		hold(int(e.Offset), holdsProtocol)
	}
}

func (r *naming) meta(e *expr.Meta) {
	if e.SourceRegister {
		return
	}
	part := r.load(e.Register, 4)
	switch {
	case len(part) == 0:
	case e.Key == expr.MetaKeyL4PROTO:
		part[0] = holdsProtocol
	case e.Key == expr.MetaKeyNFPROTO:
		r.nfproto = offsetOf(e.Register)
	}
}

func (r *naming) ct(e *expr.Ct) {
	if e.SourceRegister {
		return
	}
	part := r.load(e.Register, 4)
	switch {
	case len(part) == 0:
	case e.Key == expr.CtKeyPROTOCOL:
		part[0] = holdsProtocol
	case e.Key == expr.CtKeyPROTOSRC:
		part[0] = holdsSource
	case e.Key == expr.CtKeyPROTODST:
		part[0] = holdsDestination
	}
}

// compare takes a number that a field is compared with.
func (r *naming) compare(e *expr.Cmp) {
	at := offsetOf(e.Register)
	switch e.Op {
	case expr.CmpOpLt, expr.CmpOpLte:
		r.element(at, make([]byte, len(e.Data)), last(e))
	case expr.CmpOpGt, expr.CmpOpGte:
		r.least = e
	default:
		if e.Op == expr.CmpOpEq && at == r.nfproto && len(e.Data) > 0 && r.family == 0 {
			r.family = map[byte]int{2: 4, 10: 6}[e.Data[0]]
		}
		r.element(at, e.Data, e.Data)
	}
}

// close ends a range that has a least number, and says whether that comparison was its
// other end.
func (r *naming) close(most *expr.Cmp) bool {
	least := r.least
	if r.least = nil; least == nil {
		return false
	}
	first := least.Data
	if least.Op == expr.CmpOpGt {
		first = step(first, 1)
	}
	if most == nil || most.Register != least.Register || most.Op != expr.CmpOpLt && most.Op != expr.CmpOpLte {
		r.element(offsetOf(least.Register), first, knownBits(first...).known)
		return false
	}
	r.element(offsetOf(least.Register), first, last(most))
	return true
}

// last is the last number that is less, or at most.
func last(e *expr.Cmp) []byte {
	if e.Op == expr.CmpOpLt {
		return step(e.Data, -1)
	}
	return e.Data
}

// step is the number after or before a port; other keys stay.
func step(key []byte, by int) []byte {
	if len(key) != 2 {
		return key
	}
	return binary.BigEndian.AppendUint16(nil, uint16(int(binary.BigEndian.Uint16(key))+by))
}

// element takes what a register's bytes are compared with.
func (r *naming) element(at int, from, to []byte) {
	protocols, spans := r.inElement(at, from, to)
	r.protocols, r.spans = append(r.protocols, protocols...), append(r.spans, spans...)
}

// inElement are the protocols and ports in a key.
func (r *naming) inElement(at int, from, to []byte) (protocols []uint8, spans []span) {
	for i := range from {
		if at+i >= registerBytes || i >= len(to) {
			break
		}
		switch holds := r.holds[at+i]; {
		case holds == holdsProtocol && from[i] == to[i]:
			protocols = append(protocols, from[i])
		case holds == holdsProtocol:
			r.ranges = append(r.ranges, from[i], to[i], max(from[i], 1)-1, min(to[i], 254)+1)
		case holds >= holdsSource && i+1 < min(len(from), len(to)):
			spans = append(spans, span{binary.BigEndian.Uint16(from[i:]), binary.BigEndian.Uint16(to[i:]), holds == holdsSource})
		}
	}
	return protocols, spans
}

// lookup takes all that a set names.
func (r *naming) lookup(e *expr.Lookup) {
	set := r.rule.Chain.Table.Sets[e.SetName]
	if set == nil {
		return
	}
	at := offsetOf(e.SourceRegister)
	for i := range set.Elements {
		element := &set.Elements[i]
		to := element.End
		if to == nil {
			to = element.Key
		}
		protocols, spans := r.inElement(at, element.Key, to)
		if len(protocols) == 1 && len(spans) > 0 {
			r.pairs = append(r.pairs, pair{protocols[0], spans})
			continue
		}
		r.protocols, r.spans = append(r.protocols, protocols...), append(r.spans, spans...)
	}
}

// match takes the ports that a match of iptables-nft names.
func (r *naming) match(e *expr.Match) {
	extension, _ := ReadMatch(e)
	for _, c := range extension.Conditions {
		for _, asked := range c.Asks {
			if asked.Field != FieldSourcePort && asked.Field != FieldDestinationPort {
				continue
			}
			for _, among := range asked.Among {
				r.spans = append(r.spans, span{uint16(among[0]), uint16(among[1]), asked.Field == FieldSourcePort})
			}
		}
	}
	if info, is := e.Info.(*xt.ConntrackMtinfo3); is && info.MatchFlags&uint16(xt.ConntrackOrigDstPort) != 0 {
		r.spans = append(r.spans, span{info.OrigDstPort, info.OrigDstPortHigh, false})
	}
}
