package inspect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	nfnl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// nftLists are the lists of nftables: each message's first attribute is the name of its table. What is left out are
// numbers, counts and what programs keep with it for people (linux/netfilter/nf_tables.h).
var nftLists = []listing{
	{what: "table", ask: unix.NFT_MSG_GETTABLE, sieve: sieve{without: []int{3, 4, 6}}},                                                                       // USE, HANDLE, USERDATA
	{what: "chain", ask: unix.NFT_MSG_GETCHAIN, sieve: sieve{without: []int{unix.NFTA_CHAIN_HANDLE, unix.NFTA_CHAIN_USE, unix.NFTA_CHAIN_COUNTERS, 11, 12}}}, // ID, USERDATA
	{what: "rule", ask: unix.NFT_MSG_GETRULE, sieve: sieve{
		without: []int{unix.NFTA_RULE_HANDLE, unix.NFTA_RULE_POSITION, unix.NFTA_RULE_USERDATA, 9, 10, 11}, // ID, POSITION_ID, CHAIN_ID
		within:  map[int]func(ruleAttrs) string{unix.NFTA_RULE_EXPRESSIONS: exprLines},
	}},
	{what: "set", ask: unix.NFT_MSG_GETSET, sieve: sieve{
		without: []int{unix.NFTA_SET_ID, unix.NFTA_SET_USERDATA, 16, 19, 20}, // HANDLE, TYPE, COUNT
		within:  map[int]func(ruleAttrs) string{17: exprLine, 18: exprLines}, // EXPR, EXPRESSIONS
	}},
	{what: "object", ask: unix.NFT_MSG_GETOBJ, text: objectLine},
	{what: "flowtable", ask: 23, sieve: sieve{without: []int{4, 5}}}, // NFT_MSG_GETFLOWTABLE: USE, HANDLE
}

// elements of sets: without what people are told, and the time that they have left, where that is long.
var nftElements = sieve{
	without: []int{unix.NFTA_SET_ELEM_USERDATA},
	within: map[int]func(ruleAttrs) string{unix.NFTA_SET_ELEM_EXPR: exprLine, 11: exprLines, // NFTA_SET_ELEM_EXPRESSIONS
		unix.NFTA_SET_ELEM_EXPIRATION: func(left ruleAttrs) string { return leftLine(left, left.uint64(), time.Millisecond) }},
}

// shortly is when what ends by itself ends too soon to be held for the same as what ends at another time.
const shortly = 2 * time.Minute

// leftLine is the time that is left, which is so many units.
func leftLine[T uint32 | uint64](left ruleAttrs, of T, unit time.Duration) string {
	if time.Duration(of)*unit >= shortly {
		return " long"
	}
	return fmt.Sprintf(" %x", []byte(left))
}

// exprLine is an expression, without what a counter has counted.
func exprLine(e ruleAttrs) string {
	if name := e.first(unix.NFTA_EXPR_NAME).text(); name == "counter" || name == "last" {
		return " " + name
	}
	return sieve{}.text(e)
}

func exprLines(list ruleAttrs) string {
	var b strings.Builder
	for _, e := range list.all() {
		b.WriteString(exprLine(e) + " |")
	}
	return b.String()
}

// objectLine leaves out what a counter has counted.
func objectLine(data ruleAttrs) string {
	const kind, content, counter = 3, 4, 1 // NFTA_OBJ_TYPE, NFTA_OBJ_DATA, NFT_OBJECT_COUNTER
	of := sieve{without: []int{5, 6, 8}}   // USE, HANDLE, USERDATA
	if data.first(kind).uint32() == counter {
		of.without = append(of.without, content)
	}
	return of.text(data)
}

// ruleset reads nftables of the calling thread's namespace.
func (d *Decisive) ruleset() error {
	conn, err := DialRuleset()
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	var r decisiveRules
	err = atOneMoment(conn, func(uint32) error {
		r = decisiveRules{conn: conn, bases: map[string][]base{}}
		return r.read()
	})
	d.Parts[PartNftables], d.Unread = r.lines, append(d.Unread, r.unread...)
	return err
}

// decisiveRules are nftables' while they are read.
type decisiveRules struct {
	conn   *nfnl.Conn
	lines  []string
	unread []string
	bases  map[string][]base // by hook and priority
}

// base is where a base chain stands.
type base struct {
	family byte
	table  string
}

func (r *decisiveRules) read() error {
	for _, l := range nftLists {
		messages, err := r.conn.Execute(nftRequest(l.ask, unix.NFPROTO_UNSPEC, nfnl.Dump))
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
			continue
		}
		if err != nil {
			return err
		}
		for _, m := range messages {
			if isInterrupted(m) {
				return unix.EINTR
			}
			if err := r.take(&l, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *decisiveRules) take(l *listing, m nfnl.Message) error {
	attrs := nftAttrs(m)
	table := attrs.first(unix.NFTA_TABLE_NAME).text()
	if len(m.Data) == 0 || strings.HasPrefix(table, ownTables) {
		return nil
	}
	family := m.Data[0]
	r.lines = append(r.lines, fmt.Sprintf("%s %s%s", familyWords[family], l.what, l.line(attrs)))
	switch l.what {
	case "chain":
		r.stand(base{family, table}, attrs.first(unix.NFTA_CHAIN_HOOK))
	case "set":
		return r.elements(family, table, attrs.first(unix.NFTA_SET_NAME).text())
	}
	return nil
}

// stand notes where a base chain is. Which of two tables' is first at the same priority depends on which was made first, which is not listed.
func (r *decisiveRules) stand(b base, hook ruleAttrs) {
	if hook == nil {
		return
	}
	at := sieve{only: []int{unix.NFTA_HOOK_HOOKNUM, unix.NFTA_HOOK_PRIORITY}}.text(hook)
	for _, o := range r.bases[at] {
		if o != b && (o.family == b.family || o.family == unix.NFPROTO_INET || b.family == unix.NFPROTO_INET) {
			r.unread = append(r.unread, fmt.Sprintf("which of the tables %s and %s has its chains first, at the same priority", o.table, b.table))
		}
	}
	r.bases[at] = append(r.bases[at], b)
}

// elements adds those of a set, in an order of their own: the kernel's is by chance.
func (r *decisiveRules) elements(family byte, table, set string) error {
	request := nftRequest(unix.NFT_MSG_GETSETELEM, family, nfnl.Dump)
	names, err := nfnl.MarshalAttributes([]nfnl.Attribute{
		{Type: unix.NFTA_SET_ELEM_LIST_TABLE, Data: []byte(table + "\x00")},
		{Type: unix.NFTA_SET_ELEM_LIST_SET, Data: []byte(set + "\x00")},
	})
	if err != nil {
		return err
	}
	request.Data = append(request.Data, names...)
	var lines []string
	err = dump(r.conn, request, func(_ byte, list ruleAttrs) error {
		for _, e := range list.first(unix.NFTA_SET_ELEM_LIST_ELEMENTS).all() {
			lines = append(lines, fmt.Sprintf("%s %s %s element%s", familyWords[family], table, set, nftElements.text(e)))
		}
		return nil
	})
	slices.Sort(lines)
	r.lines = append(r.lines, lines...)
	return err
}
