package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// actsOf is what a rule does besides letting packets through, dropping and leading them: with what it takes for it, of which maps is what
// mapped says of one. It is "" for nothing.
func actsOf(r *inspect.Rule, mapped func(*inspect.Set) string) string {
	var parts, taken []string // taken is what was put into registers since something was last asked
	for _, x := range r.Exprs {
		switch x := x.(type) {
		case *expr.Cmp, *expr.Range:
			taken = nil
			continue
		case *expr.Lookup:
			set := r.Chain.Table.Sets[x.SetName]
			if !x.IsDestRegSet || set != nil && set.Verdicts {
				taken = nil
				continue
			}
			taken = append(taken, "map "+mapped(set))
		case *expr.Counter, *expr.Log:
		default:
			if acts(x) {
				parts = append(parts, strings.Join(append(taken, exprKey(x)), " "))
				continue
			}
			taken = append(taken, exprKey(x))
		}
	}
	return strings.Join(parts, "; ")
}

// acts says whether an expression does something to a packet, or for its sender.
func acts(x any) bool {
	switch x := x.(type) {
	case *expr.NAT, *expr.Masq, *expr.Redir, *expr.Reject, *expr.Notrack, *expr.Dup, *expr.TProxy, *expr.SynProxy, *expr.Queue:
		return true
	case *expr.Meta:
		return x.SourceRegister
	case *expr.Ct:
		return x.SourceRegister
	case *expr.Payload:
		return x.OperationType == expr.PayloadWrite
	case *expr.Target:
		return !slices.Contains([]string{"", "ACCEPT", "DROP", "RETURN", "LOG", "NFLOG"}, x.Name)
	}
	return false
}

// value is what packets have that a map gives some data.
type value struct {
	boxes []box
	data  string
}

// mostValues bounds how many different data of a map are told apart.
const mostValues = 1 << 8

// valuesOf are the packets of a map's elements, by their data; nil where they are not known, or too many.
func (c *compiler) valuesOf(set *inspect.Set, cells []cell) (values []value) {
	at := map[string]int{}
	for i := range set.Elements {
		e := &set.Elements[i]
		if e.CatchAll {
			continue
		}
		boxes, ok := c.element(set, e, cells)
		if !ok {
			return nil
		}
		data := fmt.Sprintf("%x", e.Data)
		v, is := at[data]
		if !is {
			if v = len(values); v == mostValues {
				return nil
			}
			at[data] = v
			values = append(values, value{data: data})
		}
		values[v].boxes = append(values[v].boxes, boxes...)
	}
	return values
}

// value is the data that the rule's map gives a packet, and what of the map has it; "" and nil where that is not told apart.
func (l *line) value(p *point) (data string, within *box) {
	for i := range l.values {
		for j := range l.values[i].boxes {
			if b := &l.values[i].boxes[j]; b.has(p) {
				return l.values[i].data, b
			}
		}
	}
	return "", nil
}

// does is what the rule does with a packet.
func (l *line) does(p *point) (text string, within *box) {
	if len(l.values) == 0 {
		return l.acts, nil
	}
	data, within := l.value(p)
	return l.shape + " " + data, within
}
