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
	"connlimit": {func() expr.Any { return new(expr.Connlimit) }, 2},
	"dup":       {func() expr.Any { return new(expr.Dup) }, 2},
	"dynset":    {func() expr.Any { return new(expr.Dynset) }, 10},
	"exthdr":    {func() expr.Any { return new(expr.Exthdr) }, 7},
	"fib":       {func() expr.Any { return new(expr.Fib) }, 3},
	"hash":      {func() expr.Any { return new(expr.Hash) }, 7},
	"limit":     {func() expr.Any { return new(expr.Limit) }, unix.NFTA_LIMIT_FLAGS},
	"log":       {func() expr.Any { return new(expr.Log) }, 6},
	"masq":      {func() expr.Any { return new(expr.Masq) }, 3},
	"match":     {func() expr.Any { return new(expr.Match) }, unix.NFTA_MATCH_INFO},
	"nat":       {func() expr.Any { return new(expr.NAT) }, 7},
	"notrack":   {func() expr.Any { return new(expr.Notrack) }, 0},
	"numgen":    {func() expr.Any { return new(expr.Numgen) }, 4},
	"queue":     {func() expr.Any { return new(expr.Queue) }, 3},
	"quota":     {func() expr.Any { return new(expr.Quota) }, 4},
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

// readers are those of expressions that are most of a ruleset, or that google/nftables
// reads wrongly; they say false of what they do not know in full.
var readers = map[string]func(ruleAttrs) (any, bool){
	"bitwise": readBitwise, "byteorder": readByteorder, "cmp": readCmp, "counter": readCounter, "ct": readCt, "immediate": readImmediate,
	"lookup": readLookup, "meta": readMeta, "objref": readReference, "payload": readPayload, "range": readRange,
}

// readExpr reads one: never nothing.
func readExpr(family byte, e ruleAttrs) any {
	var name string
	var data ruleAttrs
	for kind, value := range e.all() {
		switch kind {
		case unix.NFTA_EXPR_NAME:
			name = value.text()
		case unix.NFTA_EXPR_DATA:
			data = value
		}
	}
	if read := readers[name]; read != nil {
		if made, ok := read(data); ok {
			return made
		}
	} else if as, ok := known[name]; ok && upTo(data, as.last) {
		made := as.make()
		if name == "notrack" || expr.Unmarshal(family, data, made) == nil {
			return made
		}
	}
	return &Opaque{Name: name, Data: data}
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
