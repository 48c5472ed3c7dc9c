package rules

import (
	"bytes"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// Match says whether a rule's conditions hold for a packet: Yes and No only where that
// is sure whatever is not known, also of the kernel's state.
func Match(rule *inspect.Rule, p Packet) Answer {
	result, _, _ := evaluate(rule, &p)
	return result
}

// registers are those of a rule while it is evaluated.
type registers struct {
	bits
	traits *Registers[Trait]
}

// load puts bytes into a register, filled up with zeros to a multiple of 4 as the
// kernel does.
func (r registers) load(register uint32, data bits) {
	at := min(offsetOf(register), registerBytes)
	padded := min((len(data.value)+3)&^3, registerBytes-at)
	r.put(at, knownBits(make([]byte, padded)...))
	r.put(at, data)
	r.traits.Load(register, len(data.value))
}

func (r registers) read(register uint32, n int) bits { return r.sub(offsetOf(register), n) }

// forget makes all of them not known.
func (r registers) forget() {
	r.put(0, unknownBits(registerBytes))
	clear(r.traits[:])
}

// choose says what some bytes of a register are.
func (r registers) choose(register uint32, n int, trait func(i int) Trait) {
	part := r.traits.Part(register, n)
	for i := range part {
		part[i] = trait(i)
	}
}

// traitsOf are those of each of some bytes.
func (r registers) traitsOf(register uint32, n int) []Trait {
	traits := make([]Trait, n)
	copy(traits, r.traits.Part(register, n))
	return traits
}

// chosen are the traits that those bytes, so far as they are not known, depend on.
func (r registers) chosen(register uint32, n int) (t Trait) {
	at := offsetOf(register)
	for i, trait := range r.traits.Part(register, n) {
		if r.known[at+i] != 0xff {
			t |= trait
		}
	}
	return t
}

// evaluation is a rule on its way through a packet.
type evaluation struct {
	rule               *inspect.Rule
	packet             *Packet
	hook               string
	regs               registers
	network, transport bits
	sureNetwork        int
	sureTransport      int
	mark               *uint32
	verdicts           []expr.Verdict
	by                 Trait // what could make it match or not, or otherwise
	next               bool  // it looks at IPv6's next header
}

// evaluate says whether a rule matches, and which verdicts it may then give; none where
// the next rule is asked. The traits are those that the answer depends on, of a packet
// whose traits are free.
func evaluate(rule *inspect.Rule, p *Packet) (Answer, []expr.Verdict, Trait) {
	return overTTLs(p, func(p *Packet) (Answer, []expr.Verdict, Trait) { return overExtensions(rule, p) })
}

// overExtensions evaluates it with each header that IPv6 may have first, where that is free.
func overExtensions(rule *inspect.Rule, p *Packet) (Answer, []expr.Verdict, Trait) {
	e := evaluationOf(rule, p)
	result := e.run()
	if !e.next || !p.isFree || p.family() != 6 {
		return result, e.verdicts, e.by
	}
	for _, next := range extensions {
		other := *p
		other.extended, other.next = true, next
		with := evaluationOf(rule, &other)
		if answer := with.run(); answer != result || !slices.Equal(with.verdicts, e.verdicts) {
			result, e.by = Maybe, e.by|with.by|Headers
			e.verdicts = append(e.verdicts, with.verdicts...)
		}
	}
	return result, e.verdicts, e.by
}

// extensions are the headers of IPv6 that may come before the upper one: hop-by-hop,
// routing, fragment, destination (RFC 8200).
var extensions = []uint8{0, 43, 44, 60}

func evaluationOf(rule *inspect.Rule, p *Packet) *evaluation {
	e := &evaluation{rule: rule, packet: p, hook: rule.Chain.Hook, mark: p.Mark}
	e.regs = registers{unknownBits(registerBytes), new(Registers[Trait])}
	if e.hook == "" {
		e.hook = p.Hook
	}
	e.network, e.sureNetwork = p.network()
	e.transport, e.sureTransport = p.transport()
	return e
}

func (e *evaluation) run() Answer {
	result := e.family()
	for _, x := range e.rule.Exprs {
		if result == No {
			e.verdicts = nil
			return No
		}
		result = result.and(e.step(x))
	}
	return result
}

// depends notes what an answer that is not sure depends on.
func (e *evaluation) depends(a Answer, on Trait) Answer {
	if a == Maybe {
		e.by |= on
	}
	return a
}

// family says whether the table sees such a packet.
func (e *evaluation) family() Answer {
	family := e.packet.family()
	switch e.rule.Chain.Table.Family {
	case "ip", "ip6":
		if family == 0 {
			return Maybe
		}
		return answer((family == 4) == (e.rule.Chain.Table.Family == "ip"))
	case "arp":
		return No
	}
	return Yes
}

// step runs an expression: No is where it stops the rule.
func (e *evaluation) step(x any) Answer {
	switch x := x.(type) {
	case *expr.Meta:
		return e.meta(x)
	case *expr.Payload:
		return e.payload(x)
	case *expr.Ct:
		return e.ct(x)
	case *expr.Cmp:
		return e.depends(compare(e.regs.read(x.Register, len(x.Data)), x.Op, x.Data), e.regs.chosen(x.Register, len(x.Data)))
	case *expr.Range:
		n := min(len(x.FromData), len(x.ToData))
		is := e.regs.read(x.Register, n).within(x.FromData[:n], x.ToData[:n]).invert(x.Op == expr.CmpOpNeq)
		return e.depends(is, e.regs.chosen(x.Register, n))
	case *expr.Bitwise:
		traits := e.regs.traitsOf(x.SourceRegister, int(x.Len))
		e.regs.load(x.DestRegister, e.regs.read(x.SourceRegister, int(x.Len)).masked(x.Mask, x.Xor))
		e.regs.choose(x.DestRegister, int(x.Len), func(i int) Trait {
			if i < len(x.Mask) {
				return maskedTrait(traits[i], x.Mask[i])
			}
			return traits[i]
		})
	case *expr.Byteorder:
		return e.byteorder(x)
	case *expr.Immediate:
		e.regs.load(x.Register, knownBits(bytes.Clone(x.Data)...))
	case *expr.Lookup:
		return e.lookup(x)
	case *expr.Match:
		return e.xtMatch(x)
	default:
		return e.other(x)
	}
	return Yes
}

func compare(b bits, op expr.CmpOp, data []byte) Answer {
	switch op {
	case expr.CmpOpEq:
		return b.equal(data)
	case expr.CmpOpNeq:
		return b.equal(data).not()
	case expr.CmpOpLt:
		return b.atLeast(data).not()
	case expr.CmpOpLte:
		return b.atMost(data)
	case expr.CmpOpGt:
		return b.atMost(data).not()
	case expr.CmpOpGte:
		return b.atLeast(data)
	}
	return Maybe
}

func (e *evaluation) byteorder(x *expr.Byteorder) Answer {
	data, any := e.regs.read(x.SourceRegister, int(x.Len)), e.regs.chosen(x.SourceRegister, int(x.Len))
	defer func() { e.regs.choose(x.DestRegister, int(x.Len), func(int) Trait { return any }) }()
	switch {
	case x.Size == 8 && x.Len > 8: // has changed between kernels
		e.regs.load(x.DestRegister, unknownBits(int(x.Len)))
	case bigEndian:
		e.regs.load(x.DestRegister, data)
	default:
		e.regs.load(x.DestRegister, data.swapped(int(x.Size)))
	}
	return Yes
}

// bigEndian is true on a machine whose numbers look like the network's.
var bigEndian = knownBits(host32(new(uint32(1))).value...).value[0] == 0

// other runs what decides without looking at registers, or fills one with what is
// not known.
func (e *evaluation) other(x any) Answer {
	switch x := x.(type) {
	case *expr.Verdict:
		e.verdicts = append(e.verdicts, *x)
	case *expr.NAT, *expr.Masq, *expr.Redir:
		e.decide(expr.VerdictAccept)
	case *expr.Reject:
		e.decide(expr.VerdictDrop)
	case *expr.Queue:
		e.decide(expr.VerdictAccept, expr.VerdictDrop)
	case *expr.Target:
		return e.xtTarget(x)
	case *expr.SynProxy:
		e.decide(expr.VerdictAccept, expr.VerdictDrop)
		return Maybe.and(e.packet.is(protoTCP))
	case *expr.Counter, *expr.Log, *expr.Notrack, *expr.Dup:
	case *expr.Objref:
		return e.object(x.Type)
	case *expr.Numgen:
		e.regs.load(x.Register, unknownBits(4))
	case *expr.Hash:
		e.regs.load(x.DestRegister, unknownBits(4))
	case *expr.Limit, *expr.Quota, *expr.Connlimit, *expr.Dynset, *inspect.ObjectMap, *expr.TProxy:
		return Maybe
	case *inspect.Opaque:
		return e.opaque(x)
	default: // fib, socket, rt, exthdr: what they load, and whether they can, is not known
		e.regs.forget()
		e.by |= e.packet.otherTrait(x)
		return Maybe
	}
	return Yes
}

func (e *evaluation) decide(kinds ...expr.VerdictKind) {
	for _, kind := range kinds {
		e.verdicts = append(e.verdicts, expr.Verdict{Kind: kind})
	}
}

// opaque runs what is not known in full: no more than that it looks at the packet, or
// not even that.
func (e *evaluation) opaque(x *inspect.Opaque) Answer {
	switch {
	case x.Name == "fwd":
		e.decide(expr.VerdictStolen)
	case Idle(x.Name):
		return Yes
	case !slices.Contains(conditions, x.Name):
		e.decide(expr.VerdictAccept, expr.VerdictDrop)
	}
	e.regs.forget()
	e.by |= opaqueTraits[x.Name]
	return Maybe
}

// Idle says whether an expression that is not known in full neither looks at a packet nor
// decides about it.
func Idle(name string) bool {
	return slices.Contains([]string{"last", "secmark", "cttimeout", "cthelper", "ctexpect", "log", "counter"}, name)
}

// conditions are the expressions that do no more than to look at a packet.
var conditions = []string{"osf", "xfrm", "tunnel", "inner", "flow_offload", "bitwise", "byteorder", "cmp", "ct", "exthdr", "fib", "meta", "payload", "range", "rt", "socket"}

// lookers are the conditions that write nothing either, whatever of them is not known. To write the option of a
// header, or to hand a flow to a flowtable, is nothing that a rule after it asks for.
var lookers = slices.DeleteFunc(slices.Clone(conditions), func(name string) bool { return slices.Contains([]string{"ct", "meta", "payload"}, name) })

// Kinds of stateful object (NFT_OBJECT_*, linux/netfilter/nf_tables.h).
const (
	objectCounter  = 1
	objectQuota    = 2
	objectLimit    = 4
	objectConns    = 5
	objectSynproxy = 10
)

func (e *evaluation) object(kind int) Answer {
	switch kind {
	case objectQuota, objectLimit, objectConns:
		return Maybe
	case objectSynproxy:
		return e.other(&expr.SynProxy{})
	}
	return Yes
}
