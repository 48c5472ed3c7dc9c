package inspect

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Set is a set, or a map, of an nftables table.
type Set struct {
	Name string
	// Handle is the kernel's number of it: a set that is made again has another. 0 where the
	// kernel (before 4.16) has none.
	Handle uint64
	// Map is true where elements have data, Verdicts where those are verdicts.
	Map, Verdicts bool
	// Interval is true where elements are ranges.
	Interval bool
	// Fields are the lengths in bytes of a concatenation's parts, of which each begins
	// at a multiple of 4; nil where the key is one, and where only equality counts.
	Fields []int
	// KeyLen and DataLen are in bytes.
	KeyLen, DataLen int
	// ObjectType is that of the objects that a map names (NFT_OBJECT_*), else 0.
	ObjectType uint32
	// Dynamic is true where rules may change it, Updated where one of the table does.
	Dynamic, Updated bool
	// Timeout is true where elements may end by themselves: see Element.Expires.
	Timeout bool
	// Stateful is true where matching an element does more than to count.
	Stateful bool
	Elements []Element
}

// Element is one of a set's.
type Element struct {
	// Key is the only one, or the first of a range, End the last, which belongs to it;
	// in a concatenation that holds part by part. End is nil where it is the only one.
	Key, End []byte
	// CatchAll is true for "*", which has no key.
	CatchAll bool
	// Expires is true of one that ends by itself after a time, of which so much was Left as it was read.
	Expires bool
	Left    time.Duration
	// Data is what a map says, Verdict what a verdict map does.
	Data    []byte
	Verdict *expr.Verdict
	// Object is the name of the object that a map names.
	Object string
	// Exprs are what matching it runs: a counter, a limit.
	Exprs []any
}

// readSet reads a set without its elements.
func readSet(data ruleAttrs) *Set {
	const (
		fieldLen           = 1  // NFTA_SET_FIELD_LEN
		handle             = 16 // NFTA_SET_HANDLE
		objType            = 15 // NFTA_SET_OBJ_TYPE
		flagObject         = 0x40
		descConcat         = 2 // NFTA_SET_DESC_CONCAT
		verdictType uint32 = 0xffffff00
	)
	flags := data.first(unix.NFTA_SET_FLAGS).uint32()
	s := &Set{
		Name:     data.first(unix.NFTA_SET_NAME).text(),
		Handle:   data.first(handle).uint64(),
		Map:      flags&unix.NFT_SET_MAP != 0,
		Verdicts: data.first(unix.NFTA_SET_DATA_TYPE).uint32() == verdictType,
		Interval: flags&unix.NFT_SET_INTERVAL != 0,
		Dynamic:  flags&unix.NFT_SET_EVAL != 0,
		Timeout:  flags&unix.NFT_SET_TIMEOUT != 0,
		KeyLen:   int(data.first(unix.NFTA_SET_KEY_LEN).uint32()),
		DataLen:  int(data.first(unix.NFTA_SET_DATA_LEN).uint32()),
	}
	if flags&flagObject != 0 {
		s.ObjectType = data.first(objType).uint32()
	}
	for _, field := range data.first(unix.NFTA_SET_DESC).first(descConcat).all() {
		s.Fields = append(s.Fields, int(field.first(fieldLen).uint32()))
	}
	return s
}

// rawElement is an element as the kernel lists it.
type rawElement struct {
	Element
	ends bool // it only says where the range before it ends
}

func readElement(family byte, data ruleAttrs) rawElement {
	const expiration, keyEnd, objref, expressions, catchAll = 5, 10, 9, 11, 2 // NFTA_SET_ELEM_*, NFT_SET_ELEM_CATCHALL
	var e rawElement
	for kind, value := range data.all() {
		switch kind {
		case unix.NFTA_SET_ELEM_KEY:
			e.Key = value.first(unix.NFTA_DATA_VALUE)
		case keyEnd:
			e.End = value.first(unix.NFTA_DATA_VALUE)
		case unix.NFTA_SET_ELEM_DATA:
			e.Data = value.first(unix.NFTA_DATA_VALUE)
			if verdict := value.first(unix.NFTA_DATA_VERDICT); verdict != nil {
				e.Verdict = readVerdict(verdict)
			}
		case unix.NFTA_SET_ELEM_FLAGS:
			e.ends = value.uint32()&unix.NFT_SET_ELEM_INTERVAL_END != 0
			e.CatchAll = value.uint32()&catchAll != 0
		case expiration:
			e.Expires, e.Left = true, time.Duration(value.uint64())*time.Millisecond
		case objref:
			e.Object = value.text()
		case unix.NFTA_SET_ELEM_EXPR:
			e.Exprs = append(e.Exprs, readExpr(family, value))
		case expressions:
			e.Exprs = append(e.Exprs, readExprs(family, value)...)
		}
	}
	return e
}

// Expires says whether any element ends by itself after a time.
func (s *Set) Expires() bool {
	return slices.ContainsFunc(s.Elements, func(e Element) bool { return e.Expires })
}

// Lasts says whether no element ends by itself within a time of when it was read.
func (s *Set) Lasts(long time.Duration) bool {
	return !slices.ContainsFunc(s.Elements, func(e Element) bool { return e.Expires && e.Left < long })
}

// take makes the set's elements of what the kernel lists: ranges of one key come as
// where each begins, and where the first key after it is.
func (s *Set) take(raw []rawElement) {
	for _, e := range raw {
		for _, x := range e.Exprs {
			if _, counts := x.(*expr.Counter); !counts {
				s.Stateful = true
			}
		}
	}
	slices.SortStableFunc(raw, inOrder) // the kernel's is by chance
	if s.Interval && len(s.Fields) == 0 {
		closeRanges(raw)
	}
	s.Elements = make([]Element, 0, len(raw))
	for _, e := range raw {
		if !e.ends {
			s.Elements = append(s.Elements, e.Element)
		}
	}
}

// inOrder orders elements by their keys, those without one last.
func inOrder(a, b rawElement) int {
	rank := func(e rawElement) int {
		switch {
		case e.CatchAll:
			return 2
		case e.ends: // the range before the one that begins there
			return 0
		}
		return 1
	}
	if a.CatchAll != b.CatchAll {
		return rank(a) - rank(b)
	}
	return cmp.Or(bytes.Compare(a.Key, b.Key), rank(a)-rank(b))
}

// closeRanges gives each range its last key.
func closeRanges(raw []rawElement) {
	for i := range raw {
		e := &raw[i]
		if e.ends || e.CatchAll || e.End != nil {
			continue
		}
		var after []byte
		if i+1 < len(raw) && !raw[i+1].CatchAll {
			after = raw[i+1].Key
		}
		e.End = before(after, len(e.Key))
	}
}

// before is the key before one; the highest of all for none.
func before(key []byte, size int) []byte {
	if key == nil {
		return bytes.Repeat([]byte{0xff}, size)
	}
	last := bytes.Clone(key)
	for i := len(last) - 1; i >= 0; i-- {
		last[i]--
		if last[i] != 0xff {
			break
		}
	}
	return last
}
