package policy

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// target is what a rule translates packets to, as far as it is one value.
type target struct {
	source bool       // it is their source that it gives another one
	addr   netip.Addr // invalid where it is not known
	port   uint16     // 0 where it is not
	keeps  bool       // the port, unless it is taken
	own    bool       // an address of the node
}

// targetOf is what a rule translates to; false where it translates nothing.
func targetOf(r *inspect.Rule) (to target, is bool) {
	registers := map[uint32][]byte{}
	for _, x := range r.Exprs {
		switch x := x.(type) {
		case *expr.Immediate:
			registers[x.Register] = x.Data
		case *expr.NAT:
			to.source = x.Type == expr.NATTypeSourceNAT
			if x.RegAddrMin != 0 && (x.RegAddrMax == 0 || slices.Equal(registers[x.RegAddrMax], registers[x.RegAddrMin])) {
				to.addr, _ = netip.AddrFromSlice(registers[x.RegAddrMin])
			}
			to.port, to.keeps = portIn(registers, x.RegProtoMin, x.RegProtoMax)
			return to, true
		case *expr.Masq:
			return target{source: true}, true
		case *expr.Redir:
			to.own = true
			to.port, to.keeps = portIn(registers, x.RegisterProtoMin, x.RegisterProtoMax)
			return to, true
		case *expr.Target:
			switch x.Name {
			case "DNAT", "REDIRECT", "NETMAP":
				return target{own: x.Name == "REDIRECT"}, true
			case "SNAT", "MASQUERADE":
				return target{source: true}, true
			}
		}
	}
	return to, false
}

// portIn is the port that registers have; keeps says that none is asked for.
func portIn(registers map[uint32][]byte, first, last uint32) (port uint16, keeps bool) {
	const size = 2
	switch b := registers[first]; {
	case first == 0:
		return 0, true
	case len(b) < size || last != 0 && !slices.Equal(b, registers[last]):
		return 0, false
	default:
		return uint16(b[0])<<8 | uint16(b[1]), false
	}
}

// String is where to: "10.0.2.1:80"; "" where that is not one value.
func (t target) String() string {
	switch {
	case t.addr.IsValid() && t.port != 0:
		return netip.AddrPortFrom(t.addr, t.port).String()
	case t.addr.IsValid():
		return t.addr.String()
	case t.own && t.port != 0:
		return fmt.Sprintf("port %d of the node", t.port)
	case t.own:
		return "the node"
	}
	return ""
}

// which is its place in an outcome.
func (t target) which() int {
	if t.source {
		return 1
	}
	return 0
}

// translating are the hooks at which base chains of NAT lead to rules that translate.
func (m *model) translating() map[string]bool {
	hooks := map[string]bool{}
	for _, base := range m.chains {
		if base.of.Type != "nat" {
			continue
		}
		for _, c := range append(chainsOf(base), base) {
			if slices.ContainsFunc(c.lines, func(l *line) bool { _, is := targetOf(l.rule); return is }) {
				hooks[base.of.Hook] = true
			}
		}
	}
	return hooks
}

// translate takes packets past a base chain of NAT: it is asked about those alone that open a connection, and not again
// about what the node sends to itself.
func (w *walking) translate(t trail, base *chain) {
	again := t.way[0].hook == "prerouting" && t.box[fieldIn].has(small(lo))
	if !w.nat[base.of.Hook] || again {
		w.next(t)
		return
	}
	if opens, some := t.ofState(stateNew); some {
		w.todo = append(w.todo, opens.begin(base))
	}
	if others, some := t.ofState(stateInvalid, stateEstablished, stateRelated, stateUntracked); some {
		w.next(others)
	}
}

// ofState are those of the packets that have one of some states; false where none has.
func (t trail) ofState(states ...uint64) (trail, bool) {
	t.box[fieldState] = t.box[fieldState].and(just(states...))
	return t, !t.box[fieldState].isEmpty()
}

// translated is what becomes of packets that a rule gave another address.
func (w *walking) translated(t trail, l *line, by *entry) {
	to, is := targetOf(l.rule)
	if !is { // it keeps them from being translated
		w.next(t)
		return
	}
	t.end.nat[to.which()] = by
	if to.source {
		t.over[fieldStatus] = override{unknown: true}
		w.next(t.moved(fieldSrc, fieldSport, to))
		return
	}
	for _, t := range w.restated(t, to) {
		for _, t := range w.rerouted(t.moved(fieldDst, fieldDport, to), to) {
			w.next(t)
		}
	}
}

// moved are packets that have another address and port.
func (t trail) moved(addr, port field, to target) trail {
	if t.over[addr] = (override{unknown: true}); to.addr.IsValid() {
		t.over[addr] = override{is: true, value: addrNumber(to.addr)}
	}
	switch {
	case to.port != 0:
		t.over[port] = override{is: true, value: small(uint64(to.port))}
	case !to.keeps || to.source:
		t.over[port] = override{unknown: true}
	}
	return t
}

// rerouted are packets with another destination on the ways that lead there: they may leave by another interface, or stay.
func (w *walking) rerouted(t trail, to target) []trail {
	none, known := number{}, t.over[fieldDst].is
	goes, stays := t.forwarded(), t
	stays.way = []leg{t.way[0], {hook: "input", out: &none}}
	if t.way[0].hook == "output" {
		t.over[fieldOut] = override{unknown: true}
		t.way = []leg{t.way[0], {hook: "postrouting"}}
		return []trail{t}
	}
	for _, out := range w.outward() {
		if known && w.to(out).has(t.over[fieldDst].value) {
			index := small(uint64(out))
			goes.way[1].out, goes.way[2].out = &index, &index
			return []trail{goes}
		}
	}
	if to.own || known && w.own.has(t.over[fieldDst].value) {
		return []trail{stays}
	}
	return []trail{stays, goes}
}

// connections are packets that belong to one: while the kernel has not translated them as that was, it is not known to whom they go.
func (w *walking) connections(t trail) (connected trail, some bool) {
	if t.way[0].hook != "prerouting" || t.box[fieldIn].has(small(lo)) || len(w.nat) == 0 {
		return t, false
	}
	connected, some = t.ofState(stateEstablished, stateRelated)
	connected.over[fieldDst], connected.over[fieldDport] = override{unknown: true}, override{unknown: true}
	return connected, some
}

// forwarded are the packets on the way to another node, wherever that is.
func (t trail) forwarded() trail {
	t.way = []leg{t.way[0], {hook: "forward"}, {hook: "postrouting"}}
	t.over[fieldOut] = override{unknown: true}
	return t
}
