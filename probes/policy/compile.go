package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"golang.org/x/sys/unix"
)

// mostBoxes is how many boxes the packets of one rule may take: with more it is not modelled.
const mostBoxes = 1 << 13

// compiler reads a rule.
type compiler struct {
	*model
	line  *line
	regs  registers
	boxes []box
	ended bool // a verdict was given
	// evil are the packets that a match drops, whatever the rule does with those that it asks for.
	evil []box
	maps int // of data, that were asked
}

// compile reads a rule for the model's family.
func (m *model) compile(in *chain, rule *inspect.Rule) *line {
	c := &compiler{model: m, line: &line{rule: rule, in: in}, boxes: []box{{}}}
	for _, x := range rule.Exprs {
		if c.ended {
			break
		}
		c.step(x)
	}
	if !c.ended {
		c.decide(goesOn, nil)
	}
	if len(c.evil) > 0 {
		c.line.arms = append(c.line.arms, armOf(c.evil, drops, nil))
	}
	if rules.SetsMark(rule) && c.line.marks == nil {
		c.line.marks = toldCells(markSize)
	}
	c.line.acts = actsOf(rule, func(s *inspect.Set) string { return setKey(s, func(*expr.Verdict) string { return "" }) })
	c.line.shape, c.line.keeps = actsOf(rule, func(*inspect.Set) string { return "" }), keeps(rule)
	if c.maps > 1 {
		c.line.values = nil
	}
	return c.line
}

// unknown notes that an expression is not modelled: the rule may match less than its boxes.
func (c *compiler) unknown(what string) { c.line.unknown = union(c.line.unknown, what) }

func (c *compiler) decide(v verdict, to *chain) {
	c.line.arms = append(c.line.arms, armOf(c.boxes, v, to))
	c.ended = true
}

// meet keeps of the boxes what is in those as well.
func (c *compiler) meet(boxes []box) {
	if len(c.boxes)*len(boxes) > mostBoxes {
		c.unknown(fmt.Sprintf("a condition of %d parts", len(boxes)))
		return
	}
	c.boxes = andAll(c.boxes, boxes)
}

func (c *compiler) only(f field, s set) {
	var b box
	b[f] = s
	if s == nil {
		b[f] = c.domain[f]
	}
	c.meet([]box{b})
}

func (c *compiler) step(x any) {
	switch x := x.(type) {
	case *expr.Meta:
		c.meta(x)
	case *expr.Payload:
		c.payload(x)
	case *expr.Ct:
		c.ct(x)
	case *expr.Cmp:
		c.compare(x.Register, x.Op, x.Data)
	case *expr.Range:
		n := min(len(x.FromData), len(x.ToData))
		c.ranged(x.Register, x.FromData[:n], x.ToData[:n], x.Op == expr.CmpOpNeq)
	case *expr.Bitwise:
		c.bitwise(x)
	case *expr.Byteorder:
		if x.SourceRegister != x.DestRegister || x.Len >= x.Size { // of less than a number the kernel swaps nothing
			c.regs.put(x.DestRegister, swapped(c.regs.get(x.SourceRegister, int(x.Len)))...)
		}
	case *expr.Immediate:
		c.regs.put(x.Register, constCells(x.Data...)...)
	case *expr.Lookup:
		c.lookup(x)
	case *expr.Match:
		c.xtMatch(x)
	case *expr.Fib:
		c.fib(x)
	default:
		c.act(x)
	}
}

// act is what decides or does something without looking at registers.
func (c *compiler) act(x any) {
	switch x := x.(type) {
	case *expr.Verdict:
		c.verdict(*x)
	case *expr.NAT:
		if c.isOf(x.Family) {
			c.decide(accepts, nil)
		}
	case *expr.Masq, *expr.Redir:
		c.decide(accepts, nil)
	case *expr.Reject:
		c.decide(drops, nil)
	case *expr.Target:
		c.xtTarget(x)
	case *expr.Counter, *expr.Log, *expr.Notrack, *expr.Dup:
	case *inspect.Opaque:
		if !rules.Idle(x.Name) {
			c.lacking(x, x.Name)
			c.regs.forget()
		}
	case *expr.Objref:
		const counter = 1 // NFT_OBJECT_COUNTER
		if x.Type != counter {
			c.lacking(x, "a stateful object")
		}
	default:
		c.lacking(x, nameOf(x))
		c.regs.forget()
	}
}

// isOf says whether NAT to a family's addresses translates the model's packets: others it lets go on, in inet.
func (m *model) isOf(family uint32) bool {
	return m.v6 && family != unix.NFPROTO_IPV4 || !m.v6 && family != unix.NFPROTO_IPV6
}

// nameOf is an expression's name, as nft has it.
func nameOf(x any) string {
	return strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", x), "*expr."))
}

func (c *compiler) verdict(v expr.Verdict) {
	kind, to := c.verdictOf(v)
	c.decide(kind, to)
}

func (c *compiler) verdictOf(v expr.Verdict) (kind verdict, to *chain) {
	named := c.chains[c.line.in.of.Table.Chain(v.Chain)]
	switch v.Kind {
	case expr.VerdictAccept, expr.VerdictStop:
		return accepts, nil
	case expr.VerdictDrop:
		return drops, nil
	case expr.VerdictReturn:
		return returns, nil
	case expr.VerdictJump:
		return jumps, named
	case expr.VerdictGoto:
		return goes, named
	case expr.VerdictContinue, expr.VerdictBreak:
		return goesOn, nil
	}
	c.unknown("a verdict")
	return goesOn, nil
}

// meta loads what the kernel knows of a packet.
func (c *compiler) meta(x *expr.Meta) {
	if x.SourceRegister {
		if x.Key == expr.MetaKeyMARK {
			c.line.marks = c.regs.get(x.Register, markSize)
		}
		return
	}
	family, protocol := byte(2), []byte{0x08, 0x00} // NFPROTO_IPV4, ETH_P_IP
	if c.v6 {
		family, protocol = 10, []byte{0x86, 0xdd}
	}
	const nameSize, number = 16, 4
	in := slices.Contains([]expr.MetaKey{expr.MetaKeyIIF, expr.MetaKeyIIFNAME, expr.MetaKeyIIFTYPE}, x.Key)
	out := slices.Contains([]expr.MetaKey{expr.MetaKeyOIF, expr.MetaKeyOIFNAME, expr.MetaKeyOIFTYPE}, x.Key)
	if in && c.meets(at("output", "postrouting", "egress")) || out && c.meets(at("prerouting", "input", "ingress")) {
		c.unknown("an interface where packets have none") // kernels differ
	}
	switch x.Key {
	case expr.MetaKeyIIFNAME:
		c.regs.put(x.Register, fieldCells(fieldIn, asName, nameSize)...)
	case expr.MetaKeyOIFNAME:
		c.regs.put(x.Register, fieldCells(fieldOut, asName, nameSize)...)
	case expr.MetaKeyIIF:
		c.regs.put(x.Register, fieldCells(fieldIn, asNative, number)...)
	case expr.MetaKeyOIF:
		c.regs.put(x.Register, fieldCells(fieldOut, asNative, number)...)
	case expr.MetaKeyIIFTYPE:
		c.linkType(x, fieldIn)
	case expr.MetaKeyOIFTYPE:
		c.linkType(x, fieldOut)
	case expr.MetaKeyMARK:
		c.regs.put(x.Register, fieldCells(fieldMark, asNative, number)...)
		c.marked()
	case expr.MetaKeyL4PROTO:
		c.regs.put(x.Register, fieldCells(fieldProto, asBytes, 1)...)
	case expr.MetaKeyNFPROTO:
		c.regs.put(x.Register, constCells(family)...)
	case expr.MetaKeyPROTOCOL:
		c.regs.put(x.Register, constCells(protocol...)...)
	case expr.MetaKeyLEN:
		c.regs.put(x.Register, lengthCells(metaWord(x.Key), asNative, number, 0)...)
	default:
		c.lacking(x, metaWord(x.Key))
		c.regs.put(x.Register, toldCells(nameSize)...)
	}
}

func (c *compiler) ct(x *expr.Ct) {
	if x.SourceRegister {
		return
	}
	const most = 16
	switch x.Key {
	case expr.CtKeySTATE:
		c.early()
		c.regs.put(x.Register, fieldCells(fieldState, asNative, 4)...)
		return
	case expr.CtKeySTATUS:
		c.status("ct status")
		c.only(fieldState, tracked) // of what has no connection the rule is not asked (nft_ct_get_eval)
		c.regs.put(x.Register, fieldCells(fieldStatus, asStatus, 4)...)
		return
	}
	c.lacking(x, "ct "+ctWord(x.Key))
	c.regs.put(x.Register, toldCells(most)...)
}

func (c *compiler) bitwise(x *expr.Bitwise) {
	cells := c.regs.get(x.SourceRegister, int(x.Len))
	for i := range cells {
		var mask, xor byte
		if i < len(x.Mask) {
			mask = x.Mask[i]
		}
		if i < len(x.Xor) {
			xor = x.Xor[i]
		}
		cells[i].length = false
		cells[i].mask &= mask
		cells[i].xor = cells[i].xor&mask ^ xor
		cells[i].value = cells[i].value&mask ^ xor
	}
	c.regs.put(x.DestRegister, cells...)
}

// fib asks the node's routes: what it takes an address for.
func (c *compiler) fib(x *expr.Fib) {
	const size = 4
	if !x.ResultADDRTYPE || x.FlagIIF || x.FlagOIF || x.FlagSADDR == x.FlagDADDR || c.v6 {
		c.lacking(x, "fib")
		c.regs.put(x.Register, toldCells(size)...)
		return
	}
	c.written()
	of := fieldSrc
	if x.FlagDADDR {
		of = fieldDst
	}
	c.regs.put(x.Register, fieldCells(of, asKind, size)...)
}
