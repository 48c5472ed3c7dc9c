package inspect

import (
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// known are the expressions that google/nftables reads in full, with the highest
// attribute that it knows (linux/netfilter/nf_tables.h). It passes over all others
// without a word, and over attributes too: what has a higher one is Opaque.
var known = map[string]struct {
	make func() expr.Any
	last int
}{
	"cmp":       {func() expr.Any { return new(expr.Cmp) }, unix.NFTA_CMP_DATA},
	"connlimit": {func() expr.Any { return new(expr.Connlimit) }, 2},
	"counter":   {func() expr.Any { return new(expr.Counter) }, 3},
	"dup":       {func() expr.Any { return new(expr.Dup) }, 2},
	"dynset":    {func() expr.Any { return new(expr.Dynset) }, 10},
	"exthdr":    {func() expr.Any { return new(expr.Exthdr) }, 7},
	"fib":       {func() expr.Any { return new(expr.Fib) }, 3},
	"hash":      {func() expr.Any { return new(expr.Hash) }, 7},
	"limit":     {func() expr.Any { return new(expr.Limit) }, unix.NFTA_LIMIT_FLAGS},
	"log":       {func() expr.Any { return new(expr.Log) }, 6},
	"lookup":    {func() expr.Any { return new(expr.Lookup) }, unix.NFTA_LOOKUP_FLAGS},
	"masq":      {func() expr.Any { return new(expr.Masq) }, 3},
	"match":     {func() expr.Any { return new(expr.Match) }, unix.NFTA_MATCH_INFO},
	"meta":      {func() expr.Any { return new(expr.Meta) }, unix.NFTA_META_SREG},
	"nat":       {func() expr.Any { return new(expr.NAT) }, 7},
	"notrack":   {func() expr.Any { return new(expr.Notrack) }, 0},
	"numgen":    {func() expr.Any { return new(expr.Numgen) }, 4},
	"payload":   {func() expr.Any { return new(expr.Payload) }, 8},
	"queue":     {func() expr.Any { return new(expr.Queue) }, 3},
	"quota":     {func() expr.Any { return new(expr.Quota) }, 4},
	"range":     {func() expr.Any { return new(expr.Range) }, unix.NFTA_RANGE_TO_DATA},
	"redir":     {func() expr.Any { return new(expr.Redir) }, 3},
	"reject":    {func() expr.Any { return new(expr.Reject) }, 2},
	"rt":        {func() expr.Any { return new(expr.Rt) }, 2},
	"socket":    {func() expr.Any { return new(expr.Socket) }, 3},
	"synproxy":  {func() expr.Any { return new(expr.SynProxy) }, 3},
	"target":    {func() expr.Any { return new(expr.Target) }, unix.NFTA_TARGET_INFO},
	"tproxy":    {func() expr.Any { return new(expr.TProxy) }, 3},
}

// readExprs reads a rule's, an element's or a dynset's expressions.
func readExprs(family byte, list ruleAttrs) []any {
	exprs := make([]any, 0, 8)
	for kind, e := range list.all() {
		if kind == unix.NFTA_LIST_ELEM {
			exprs = append(exprs, readExpr(family, e))
		}
	}
	return exprs
}

// readExpr reads one: never nothing.
func readExpr(family byte, e ruleAttrs) any {
	name, data := e.first(unix.NFTA_EXPR_NAME).text(), e.first(unix.NFTA_EXPR_DATA)
	opaque := &Opaque{Name: name, Data: data}
	switch name {
	case "immediate":
		return readImmediate(family, opaque)
	case "byteorder":
		return readByteorder(data)
	case "objref":
		return readReference(data)
	case "bitwise":
		return readBitwise(data)
	case "ct":
		return readCt(data)
	}
	as, ok := known[name]
	if !ok || !upTo(data, as.last) {
		return opaque
	}
	made := as.make()
	if name != "notrack" && expr.Unmarshal(family, data, made) != nil {
		return opaque
	}
	return made
}

// upTo says whether no attribute is of a higher type.
func upTo(data ruleAttrs, last int) bool {
	for kind := range data.all() {
		if kind > last {
			return false
		}
	}
	return true
}

// readImmediate reads a verdict, or data for a register.
func readImmediate(family byte, e *Opaque) any {
	data := ruleAttrs(e.Data)
	value := data.first(unix.NFTA_IMMEDIATE_DATA)
	if code := value.first(unix.NFTA_DATA_VERDICT); code != nil {
		return readVerdict(code)
	}
	made := new(expr.Immediate)
	if !upTo(data, unix.NFTA_IMMEDIATE_DATA) || expr.Unmarshal(family, data, made) != nil {
		return e
	}
	return made
}

func readVerdict(data ruleAttrs) *expr.Verdict {
	return &expr.Verdict{
		Kind:  expr.VerdictKind(int32(data.first(unix.NFTA_VERDICT_CODE).uint32())),
		Chain: data.first(unix.NFTA_VERDICT_CHAIN).text(),
	}
}

// readByteorder reads what google/nftables can only write.
func readByteorder(data ruleAttrs) any {
	if !upTo(data, unix.NFTA_BYTEORDER_SIZE) {
		return &Opaque{Name: "byteorder", Data: data}
	}
	return &expr.Byteorder{
		SourceRegister: data.first(unix.NFTA_BYTEORDER_SREG).uint32(),
		DestRegister:   data.first(unix.NFTA_BYTEORDER_DREG).uint32(),
		Op:             expr.ByteorderOp(data.first(unix.NFTA_BYTEORDER_OP).uint32()),
		Len:            data.first(unix.NFTA_BYTEORDER_LEN).uint32(),
		Size:           data.first(unix.NFTA_BYTEORDER_SIZE).uint32(),
	}
}

// readBitwise reads what google/nftables reads without mask and xor, where the kernel
// does not say that those are nested. Shifts, and operations on two registers, are Opaque.
func readBitwise(data ruleAttrs) any {
	const op = 6 // NFTA_BITWISE_OP; 0 is mask and xor
	if !upTo(data, op) || data.first(op).uint32() != 0 {
		return &Opaque{Name: "bitwise", Data: data}
	}
	return &expr.Bitwise{
		SourceRegister: data.first(unix.NFTA_BITWISE_SREG).uint32(),
		DestRegister:   data.first(unix.NFTA_BITWISE_DREG).uint32(),
		Len:            data.first(unix.NFTA_BITWISE_LEN).uint32(),
		Mask:           data.first(unix.NFTA_BITWISE_MASK).first(unix.NFTA_DATA_VALUE),
		Xor:            data.first(unix.NFTA_BITWISE_XOR).first(unix.NFTA_DATA_VALUE),
	}
}

// readCt reads what google/nftables reads without the register that is set from.
func readCt(data ruleAttrs) any {
	if !upTo(data, unix.NFTA_CT_SREG) {
		return &Opaque{Name: "ct", Data: data}
	}
	made := &expr.Ct{Key: expr.CtKey(data.first(unix.NFTA_CT_KEY).uint32()), Register: data.first(unix.NFTA_CT_DREG).uint32()}
	if direction := data.first(unix.NFTA_CT_DIRECTION); len(direction) > 0 {
		made.Direction = uint32(direction[0])
	}
	if from := data.first(unix.NFTA_CT_SREG); from != nil {
		made.SourceRegister, made.Register = true, from.uint32()
	}
	return made
}

// readReference reads a reference to a stateful object, by name or by map.
func readReference(data ruleAttrs) any {
	const immType, immName, setRegister, setName = 1, 2, 3, 4 // NFTA_OBJREF_*
	if name := data.first(setName); name != nil {
		return &ObjectMap{Register: data.first(setRegister).uint32(), SetName: name.text()}
	}
	return &expr.Objref{Type: int(data.first(immType).uint32()), Name: data.first(immName).text()}
}
