package policy

import (
	"github.com/nstest/nstest/harness/inspect"
)

// remark is what could not be compared of a rule, or a policy, of one of two nodes.
type remark struct {
	side  int
	rule  *inspect.Rule // nil for a policy
	where string
	text  string // what follows where it is, and when
}

// remarkKey is the same for remarks of both sides about one rule.
type remarkKey struct {
	rule *inspect.Rule
	text string
}

// remark keeps what is to be noted of a rule.
func (c *comparison) remark(r remark) {
	key := remarkKey{r.rule, r.text}
	switch before := c.changed.other[r.rule]; {
	case r.rule == nil:
		key.text += r.where
	case r.side == 1 && before != nil:
		key.rule = before
	}
	both, is := c.remarks[key]
	if !is {
		c.remarked = append(c.remarked, key)
	}
	both[r.side] = &r
	c.remarks[key] = both
}

// noteRemarks notes them: what is so of both sides once.
func (c *comparison) noteRemarks() {
	for _, key := range c.remarked {
		both := c.remarks[key]
		switch before, after := both[0], both[1]; {
		case after == nil:
			c.note(before.where + ", before" + before.text)
		case before == nil:
			c.note(after.where + ", after" + after.text)
		case before.where == after.where:
			c.note(before.where + before.text)
		default:
			c.note(before.where + ", which after is " + after.where + before.text)
		}
	}
}

// remarkAll keeps what could not be compared.
func (c *comparison) remarkAll() {
	for side, of := range c.sides {
		if of.state.Legacy {
			c.note("rules of iptables-legacy, " + whens[side])
		}
		for _, e := range of.entries {
			if e.rule.Fate == NotModelled || e.rule.Fate == Needs && e.lacks() {
				c.remark(remark{side, e.of, e.rule.where(), ": " + e.rule.Why})
			}
		}
	}
	c.remarkChanged()
}
