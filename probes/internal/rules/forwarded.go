package rules

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/nstest/nstest/harness/inspect"
)

// Forwarding is a rule that gives packets another destination port: redirect to :53, dnat to
// 10.0.9.1:53, tproxy to :53, udp dport set 53, and those of iptables.
type Forwarding struct {
	Rule fmt.Stringer
	// Chance is true where it gives one of several ports, of which the packet's does not tell
	// which.
	Chance bool

	from      []span  // the ports that it is about; none where it may be any
	protocols []uint8 // likewise
	to        []span  // the ports that it gives; none where it may be any
	named     []Port
}

// Makes says whether it may give a protocol's packets a port.
func (f *Forwarding) Makes(protocol uint8, port uint16) bool {
	return (len(f.protocols) == 0 || slices.Contains(f.protocols, protocol)) && (len(f.to) == 0 || holdsPort(f.to, port))
}

// ranges says whether one of the spans has several ports.
func ranges(spans []span) bool {
	return slices.ContainsFunc(spans, func(s span) bool { return s.from != s.to })
}

func holdsPort(spans []span, port uint16) bool {
	return slices.ContainsFunc(spans, func(s span) bool { return s.from <= port && port <= s.to })
}

// OtherPorts are the ports of a protocol of which forwardings may make one: of those that rules
// tell apart one each, those first that the forwardings name, but not that port itself. named are
// what the rules on the way name.
func OtherPorts(forwardings []Forwarding, named []Port, protocol uint8, port uint16) (ports []uint16) {
	own := map[uint16]bool{}
	begins := []uint16{1} // the first of each part
	add := func(list []Port, first bool) {
		for _, p := range list {
			if p.Protocol != protocol || p.Source || p.Number == 0 {
				continue
			}
			begins = append(begins, p.Number)
			if own[p.Number] = own[p.Number] || first && !p.Beside; p.Number < lastPort {
				begins = append(begins, p.Number+1)
			}
		}
	}
	add(named, false)
	for i := range forwardings {
		add(forwardings[i].named, true)
	}
	slices.Sort(begins)
	for _, begin := range slices.Compact(begins) {
		from := func(f Forwarding) bool { return len(f.from) == 0 || holdsPort(f.from, begin) }
		if begin != port && slices.ContainsFunc(forwardings, from) {
			ports = append(ports, begin)
		}
	}
	slices.SortStableFunc(ports, func(a, b uint16) int { return cmp.Compare(rankOf(own[a]), rankOf(own[b])) })
	return ports
}

const lastPort = 65535

func rankOf(first bool) int {
	if first {
		return 0
	}
	return 1
}

// forwards is a rule on its way through its expressions: what its registers hold when it sets a
// port.
type forwards struct {
	set     func(name string) *inspect.Set
	values  []loaded
	changes bool
	any     bool // what it sets is not known
	to      []span
	open    bool // it is about other ports than it names
	chance  bool // what it sets is chosen by a number, or a hash
}

// loaded are the bytes that a register may hold, from its first on.
type loaded struct {
	at, size int
	data     [][]byte
}

// forwardingOf is what a rule makes of ports; false where it makes nothing.
func forwardingOf(rule *inspect.Rule) (Forwarding, bool) {
	table := rule.Chain.Table
	f := forwards{set: func(name string) *inspect.Set { return table.Sets[name] }}
	for _, e := range rule.Exprs {
		f.step(e)
	}
	if !f.changes {
		return Forwarding{}, false
	}
	found := Forwarding{Rule: rule, Chance: f.chance || ranges(f.to), to: f.to}
	if f.any {
		found.to = nil
	}
	n := &names{}
	n.rule(rule)
	found.named = n.all()
	if f.open {
		return found, true
	}
	r := &naming{rule: rule, nfproto: -1}
	for _, e := range rule.Exprs {
		r.step(e)
	}
	r.close(nil)
	found.protocols = r.protocols
	for _, p := range r.pairs {
		r.spans, found.protocols = append(r.spans, p.spans...), append(found.protocols, p.protocol)
	}
	for _, s := range r.spans {
		if !s.source {
			found.from = append(found.from, s)
		}
	}
	return found, true
}

func (f *forwards) step(e any) {
	switch e := e.(type) {
	case *expr.Immediate:
		f.values = append(f.values, loaded{offsetOf(e.Register), len(e.Data), [][]byte{e.Data}})
	case *expr.Lookup:
		f.open = f.open || e.Invert
		f.lookup(e)
	case *expr.Cmp:
		f.open = f.open || e.Op == expr.CmpOpNeq
	case *expr.Range:
		f.open = f.open || e.Op == expr.CmpOpNeq
	case *expr.NAT:
		if e.Type == expr.NATTypeDestNAT && e.RegProtoMin != 0 {
			f.port(e.RegProtoMin, e.RegProtoMax)
		}
	case *expr.Redir:
		if e.RegisterProtoMin != 0 {
			f.port(e.RegisterProtoMin, e.RegisterProtoMax)
		}
	case *expr.TProxy:
		if e.RegPort != 0 {
			f.port(e.RegPort, 0)
		}
	case *expr.Payload:
		f.payload(e)
	case *expr.Target:
		f.target(e)
	case *expr.Bitwise:
		f.open, f.values = true, nil
	case *expr.Match:
		f.open = true // it may be negated
	case *expr.Counter, *expr.Verdict, *expr.Log, *expr.Limit:
	case *expr.Numgen, *expr.Hash:
		f.chance, f.values = true, nil
	default: // it may load a register
		f.values = nil
	}
}

// lookup loads what a map says.
func (f *forwards) lookup(e *expr.Lookup) {
	set := f.set(e.SetName)
	if set == nil || !e.IsDestRegSet {
		return
	}
	l := loaded{at: offsetOf(e.DestRegister)}
	for i := range set.Elements {
		if data := set.Elements[i].Data; len(data) > 0 {
			l.data, l.size = append(l.data, data), len(data)
		}
	}
	f.values = append(f.values, l)
}

// payload is a port that a rule writes into the packet.
func (f *forwards) payload(e *expr.Payload) {
	const begins, ends = 2, 4
	switch {
	case e.OperationType != expr.PayloadWrite:
		f.values = nil
	case e.Base != expr.PayloadBaseTransportHeader || e.Offset >= ends || e.Offset+e.Len <= begins:
	case e.Offset > begins || e.Offset+e.Len < ends:
		f.changes, f.any = true, true
	default:
		f.changes = true
		f.take(offsetOf(e.SourceRegister)+int(begins-e.Offset), -1)
	}
}

// port takes those that registers hold, the last with them; 0 is no register.
func (f *forwards) port(first, last uint32) {
	f.changes = true
	if last == 0 || last == first {
		f.take(offsetOf(first), -1)
		return
	}
	f.take(offsetOf(first), offsetOf(last))
}

// take takes the ports at bytes of the registers.
func (f *forwards) take(first, last int) {
	spans, known := f.at(first)
	if known && last >= 0 {
		var ends []span
		if ends, known = f.at(last); known && len(ends) == len(spans) {
			for i := range spans {
				spans[i].to = max(spans[i].from, ends[i].from)
			}
		} else {
			known = false
		}
	}
	f.any = f.any || !known
	f.to = append(f.to, spans...)
}

// at are the ports that bytes of the registers may be; false where that is not known.
func (f *forwards) at(first int) (spans []span, known bool) {
	const size = 2
	for _, l := range slices.Backward(f.values) {
		if first < l.at || first+size > l.at+l.size {
			continue
		}
		for _, data := range l.data {
			if first-l.at+size > len(data) {
				return nil, false
			}
			port := binary.BigEndian.Uint16(data[first-l.at:])
			spans = append(spans, span{from: port, to: port})
		}
		return spans, len(spans) > 0
	}
	return nil, false
}

// target is one of iptables-nft.
func (f *forwards) target(e *expr.Target) {
	if !translatesTo(e.Name) || e.Name == "NETMAP" {
		return
	}
	f.open = true
	add := func(flags uint, first, last uint16) {
		if xt.NatRangeFlags(flags)&xt.NatRangeProtoSpecified == 0 {
			return
		}
		f.changes, f.any = true, f.any || xt.NatRangeFlags(flags)&xt.NatRangeProtoOffset != 0
		f.to = append(f.to, span{from: first, to: max(first, last)})
	}
	if !natRanges(e, add) {
		f.changes, f.any = true, true
	}
}

// natRanges hands on the flags and ports of each range that a target of iptables-nft translates to;
// false where that is not known.
func natRanges(e *expr.Target, take func(flags uint, first, last uint16)) (known bool) {
	switch info := e.Info.(type) {
	case *xt.NatRange:
		take(info.Flags, info.MinPort, info.MaxPort)
	case *xt.NatRange2:
		take(info.Flags, info.MinPort, info.MaxPort)
	case *xt.NatIPv4MultiRangeCompat:
		for _, r := range *info {
			take(r.Flags, r.MinPort, r.MaxPort)
		}
	default:
		return false
	}
	return true
}

// legacyForwardingOf is forwardingOf for a rule of iptables-legacy.
func legacyForwardingOf(rule *inspect.LegacyRule) (Forwarding, bool) {
	if !translatesTo(rule.Target) {
		return Forwarding{}, false
	}
	found, changes, unknown := Forwarding{Rule: rule}, false, false
	for _, o := range rule.Options {
		if !slices.Contains([]string{"--to-ports", "--to-destination", "--on-port"}, o.Name) || len(o.Values) != 1 {
			continue
		}
		spans, has, known := portsTo(o.Values[0], o.Name == "--to-destination")
		changes, unknown = changes || has, unknown || has && !known
		found.to = append(found.to, spans...)
	}
	if found.Chance = unknown || ranges(found.to); unknown {
		found.to = nil
	}
	n := &names{}
	n.legacy(rule)
	found.named = n.all()
	return found, changes
}

// portsTo are the ports of "53", "53-60", or behind an address of "10.0.9.1:53", "[::1]:53-60".
func portsTo(text string, behind bool) (spans []span, has, known bool) {
	if behind {
		at := strings.LastIndexByte(text, ':')
		if at < 0 || strings.Count(text, ":") > 1 && !strings.Contains(text, "]:") {
			return nil, false, false
		}
		text = text[at+1:]
	}
	first, last, ranges := strings.Cut(text, "-")
	if !ranges {
		last = first
	}
	from, wrong := strconv.ParseUint(first, 10, 16)
	to, wrong2 := strconv.ParseUint(last, 10, 16)
	if wrong != nil || wrong2 != nil { // with an offset: 53-60/100
		return nil, true, false
	}
	return []span{{from: uint16(from), to: uint16(to)}}, true, true
}
