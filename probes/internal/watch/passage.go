package watch

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// Passage is what one packet of a request, or of an answer, met in the hands of a node's rules.
type Passage struct {
	Node *harness.Node
	// Packet is the packet as it came to the first of them.
	Packet *wire.Packet
	// In and Out are the interfaces; the zero Interface of what the node itself sent, and
	// of what did not leave.
	In, Out rules.Interface
	// Steps are the rules that matched, and the policies, in order.
	Steps []rules.Step
}

// Known is what is known of the packet as rules see it, but for who sent it.
func (p Passage) Known() rules.Packet {
	w := p.Packet
	known := rules.Packet{
		Src: w.Source, Dst: w.Destination, Protocol: &w.Protocol, TTL: &w.TTL, In: p.In, Out: p.Out, Foreign: p.In.Index != 0,
	}
	if length := uint16(w.Length); int(length) == w.Length {
		known.Length = &length
	}
	switch {
	case w.ICMP:
		known.Type, known.Code = &w.Type, &w.Code
	case w.Protocol == unix.IPPROTO_TCP:
		known.Flags = &w.Flags
		fallthrough
	case w.IsDatagram(), w.Protocol == unix.IPPROTO_SCTP:
		known.SrcPort, known.DstPort = &w.SourcePort, &w.DestinationPort
	}
	return known
}

// Passages are those of the trail's request, with its copies and retransmissions, and those
// of its answer: where none was seen, of what refused it, which is all that comes back of a
// segment of no connection.
func (w *Watch) Passages(t *Trail) (requests, answers []Passage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	back := answer
	if !slices.ContainsFunc(t.records, func(r *record) bool { return r.role == answer }) {
		back = refusal
	}
	for _, r := range t.records {
		p := w.byLabel[r.Node]
		if len(r.steps) == 0 || p == nil {
			continue
		}
		passage := Passage{Node: p.node, Packet: r.first, In: p.interfaceOf(r.In), Out: p.interfaceOf(r.Out), Steps: r.steps}
		switch r.role {
		case request:
			requests = append(requests, passage)
		case back:
			answers = append(answers, passage)
		}
	}
	return requests, answers
}

func (p *point) interfaceOf(index int) rules.Interface {
	if index == 0 {
		return rules.Interface{}
	}
	return rules.Interface{Name: p.device(index).Name, Index: index}
}

// verdicts are one of each kind, for the many steps that have it.
var verdicts = map[expr.VerdictKind]*expr.Verdict{
	expr.VerdictContinue: {Kind: expr.VerdictContinue}, expr.VerdictAccept: {Kind: expr.VerdictAccept}, expr.VerdictDrop: {Kind: expr.VerdictDrop},
}

func verdictOf(kind expr.VerdictKind) *expr.Verdict {
	if v := verdicts[kind]; v != nil {
		return v
	}
	return &expr.Verdict{Kind: kind}
}

// step notes a rule that matched, or a policy.
func (r *record) step(e *traceEvent) {
	if r == nil || IsOwn(e.table) || e.kind != tracePolicy && (e.kind != traceRule || e.handle == 0) {
		return
	}
	s := rules.Step{Family: familyNames[nftables.TableFamily(e.family)], Table: e.table, Chain: e.chain}
	if e.kind == traceRule {
		s.Handle = e.handle
		switch kind := expr.VerdictKind(e.verdict); kind {
		case expr.VerdictJump, expr.VerdictGoto: // the event's chain is not read
		default:
			s.Verdict = verdictOf(kind)
		}
	}
	r.steps = append(r.steps, s)
}
