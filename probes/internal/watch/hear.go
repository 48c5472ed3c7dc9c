package watch

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// hearFrame notes a frame that a tap saw.
func (w *Watch) hearFrame(p *point, f *frame) {
	w.heard.keep(verdict.End{Node: p.label, Interface: p.device(f.index).Name}, f)
	packet, ok := wire.Parse(f.data)
	if !ok || f.protocol == unix.ETH_P_ARP {
		w.hearNeighbour(p, f)
		return
	}
	t, role := w.book.find(p, packet)
	if t == nil {
		if packet.ICMPv6 {
			w.hearNeighbour(p, f)
		}
		return
	}
	if t.storms {
		return
	}
	p.seePiece(f, packet)
	d := p.device(f.index)
	direction := evidence.In
	if f.out() {
		direction = evidence.Out
	}
	astray := direction == evidence.In && !d.takes(f.tag)
	seen := account.Sighting{
		At: f.at, Node: p.label, Index: f.index, Direction: account.Direction(direction), Role: account.Role(role), Foreign: f.foreign() || astray, Group: f.group(),
		Header: headerOf(packet),
	}
	if packet.Protocol == unix.IPPROTO_TCP && !seen.Foreign {
		t.segments = append(t.segments, segment{p, direction, packet.Tuple(), packet.Flags})
	}
	s := sightingOf(packet)
	s.At, s.Node, s.Interface, s.Index, s.Direction = f.at, p.label, d.Name, f.index, direction
	s.Role, s.Foreign, s.Tag = role, f.foreign() && !d.ofBridge || astray, f.tag
	t.goesOn = t.goesOn || role == answer && packet.IsDatagram() && !bytes.HasPrefix(packet.Payload, []byte(wire.AnswerWord))
	t.see(s)
	w.sees(t, seen)
}

// headerOf is what tells a probe's packets apart.
func headerOf(p *wire.Packet) account.Header {
	return account.Header{
		Tuple: account.Tuple{
			Source:      netip.AddrPortFrom(p.Source, p.SourcePort),
			Destination: netip.AddrPortFrom(p.Destination, p.DestinationPort),
		},
		TTL: int(p.TTL), Length: p.Length, Identity: p.Identity(),
		Piece: account.Piece{Offset: p.Piece.Offset, Size: p.Piece.Size, More: p.Piece.More, Head: p.Piece.Head},
	}
}

// record is a packet in the hands of one node's rules.
type record struct {
	account.Record
	trail *Trail
	role  role
	// What the last event that had headers showed, and the first one.
	packet, first *wire.Packet
	mark          uint32
	steps         []rules.Step
	old           []legacyEvent      // what iptables-legacy told of it
	tables        map[ruleKey]uint64 // the node's, by which the steps' rules are known again
	by            *evidence.Rule     // what gave it to a queue, and queue is that one's number
	queue         int
}

// hearEvent notes what rules do with a packet.
func (w *Watch) hearEvent(p *point, e *traceEvent) {
	p.uses.hear(e)
	r := p.traced[e.id]
	if len(e.network) > 0 || w.parts && len(e.transport) > 0 {
		r = w.enter(p, e, r)
	}
	if r != nil && r.trail.storms {
		delete(p.traced, e.id)
		return
	}
	r.step(e)
	if r != nil {
		r.trail.told++
		defer w.bound(r.trail)
	}
	switch {
	case !e.dropped():
		r.take(p, e)
	case r != nil:
		w.drop(p, e, r)
	default:
		w.dropNeighbour(p, e)
		w.dropError(p, e)
	}
}

// enter notes that a packet came to a base chain: what it looks like there, and at its
// first, whose it is.
func (w *Watch) enter(p *point, e *traceEvent, r *record) *record {
	step, own := ownChain{}, false
	if IsOwn(e.table) {
		step, own = stepOf(e.family, e.chain)
	}
	begins := own && !step.last // the kernel uses its numbers again
	packet, ok := w.shown(p, e, r, begins)
	if !ok {
		delete(p.traced, e.id)
		w.hearNeighbourEvent(p, e)
		return nil
	}
	t, role := w.book.find(p, packet)
	if t == nil {
		w.hearError(p, e, packet)
		delete(p.traced, e.id)
		if packet.ICMPv6 {
			w.hearNeighbourEvent(p, e)
		}
		return nil
	}
	layer := layerOf(e.family)
	gathered := r != nil && !begins && r.packet.IsPiece() && !packet.IsPiece()
	other := r == nil || gathered || r.trail != t || r.role != role
	if other || begins || layer != r.Layer {
		fresh := other || begins && layer <= account.IP
		before := r
		r = &record{trail: t, role: role, packet: packet, first: packet, mark: e.mark, tables: p.tableIDs, Record: account.Record{
			Node: p.label, ID: e.id, Layer: layer, Role: account.Role(role), In: e.iif, Before: headerOf(packet),
			Gathered: gathered,
		}}
		if !fresh && before != nil {
			r.packet, r.mark = before.packet, before.mark
			w.translated(p, e, r, packet)
		}
		t.records = append(t.records, r)
		p.traced[e.id] = r
	} else {
		w.translated(p, e, r, packet)
	}
	r.After, r.Mark, r.Took, r.By, r.by = headerOf(packet), e.mark, "", nil, nil
	if e.oif != 0 {
		r.Out = e.oif
	}
	if own {
		if h := hookOf(e.family, step); h != 0 && (len(r.Hooks) == 0 || r.Hooks[len(r.Hooks)-1] != h) {
			r.Hooks = append(r.Hooks, h)
		}
	}
	return r
}

// translated notes that rules gave the packet other addresses, or a mark.
func (w *Watch) translated(p *point, e *traceEvent, r *record, packet *wire.Packet) {
	moved := r.packet.Fragment == packet.Fragment && r.packet.Tuple() != packet.Tuple()
	if moved || r.mark != e.mark {
		if r.role == request && moved {
			w.book.note(r.trail, place{p, packet.Tuple()})
		}
		r.trail.see(ruleSighting(p, e.iif, e.mark, r.role, packet))
	}
	r.packet, r.mark = packet, e.mark
}

// drop notes that a rule, or a chain's policy, ended a packet's way.
func (w *Watch) drop(p *point, e *traceEvent, r *record) {
	rule := p.rule(e)
	s := ruleSighting(p, e.iif, r.mark, r.role, r.packet)
	if s.Index == 0 {
		s.Index = r.In
	}
	s.Rule = rule
	r.Drop = accountRule(rule)
	if r.Layer == account.Device {
		w.hookByChain(r, e)
	}
	r.trail.see(s)
	delete(p.traced, e.id)
}

// take notes a verdict that takes a packet out of the rules' hands: to a program, or on
// a way of its own.
func (r *record) take(p *point, e *traceEvent) {
	const stolen, queue, upper = 2, 3, 16 // NF_STOLEN, NF_QUEUE; a queue's number is in the upper half
	if r == nil || e.kind != traceRule || e.handle == 0 || e.verdict < 0 {
		return
	}
	switch e.verdict & 0xff {
	case stolen:
		r.Took = "stolen"
	case queue:
		r.Took, r.queue = tookQueue, int(uint32(e.verdict)>>upper)
	default:
		return
	}
	r.by = p.rule(e)
	r.By = accountRule(r.by)
}

// tookQueue says that a rule gave a packet to a queue, which a program may read.
const tookQueue = "queue"

func accountRule(r *evidence.Rule) *account.Rule {
	return &account.Rule{Family: r.Family, Table: r.Table, Chain: r.Chain, Handle: r.Handle}
}

// hookByChain notes ingress of a chain that is not the watch's.
func (w *Watch) hookByChain(r *record, e *traceEvent) {
	if len(r.Hooks) == 0 {
		r.Hooks = append(r.Hooks, account.IngressHook)
	}
	if e.oif != 0 {
		r.Out = e.oif
	}
}

func layerOf(family byte) account.Layer {
	switch family {
	case familyBridge:
		return account.Bridge
	case familyNetdev:
		return account.Device
	}
	return account.IP
}

// hookOf is the hook that a chain of the watch's own tells of: the first ones that it
// was come to, the last ones of input, forward and postrouting that they were passed.
func hookOf(family byte, step ownChain) account.Hook {
	if family == familyNetdev {
		return account.IngressHook
	}
	switch step.hook {
	case hookPrerouting:
		return account.PreroutingHook
	case hookInput:
		return account.InputHook
	case hookForward:
		return account.ForwardHook
	case hookOutput:
		return account.OutputHook
	case hookPostrouting:
		return account.PostroutingHook
	}
	return 0
}

// join2 is two slices, one after the other.
func join2(a, b []byte) []byte {
	out := make([]byte, 0, len(a)+len(b))
	return append(append(out, a...), b...)
}

// sightingOf is what a packet says of itself, wherever it is.
func sightingOf(p *wire.Packet) evidence.Sighting {
	s := evidence.Sighting{
		Source: p.Source, Destination: p.Destination, Protocol: p.Protocol, TOS: p.TOS,
		Length: p.Length, TTL: int(p.TTL), Fragment: p.Fragment, Offset: p.Piece.Offset, NoHost: p.SaysNoHost(), Expired: p.SaysExpired(), Text: p.String(),
	}
	if !p.ICMP {
		s.SourcePort, s.DestinationPort = p.SourcePort, p.DestinationPort
	}
	return s
}

// ruleSighting is a packet in the hands of a node's rules. An event has no time of
// its own but that of its reading: see order.
func ruleSighting(p *point, iif int, mark uint32, role role, packet *wire.Packet) evidence.Sighting {
	s := sightingOf(packet)
	s.At, s.Node, s.Index, s.Role, s.Mark = time.Now(), p.label, iif, role, mark
	if s.Mark != 0 {
		s.Text += fmt.Sprintf(" mark %#x", s.Mark)
	}
	return s
}
