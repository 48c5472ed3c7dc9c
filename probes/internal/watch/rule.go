package watch

import (
	"bytes"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

// ruleKey is a rule, or with handle 0 a chain's policy, in a namespace.
type ruleKey struct {
	family       byte
	table, chain string
	handle       uint64
}

// ruleEntry is a rule that was read: one message of the kernel's. What nft prints of
// it takes some 5 ms, and is asked for when it is wanted.
type ruleEntry struct {
	rule        *evidence.Rule
	expressions []string // their names, which tell whether it is still the same rule
}

// rule is the rule that an event is about, as it is while it is as it was. One that is
// gone by now is known by its place alone.
func (p *point) rule(e *traceEvent) *evidence.Rule {
	key := ruleKey{e.family, e.table, e.chain, e.handle}
	if e.kind == tracePolicy {
		key.handle = 0
	}
	if entry := p.byHandle[key]; entry != nil {
		return entry.rule
	}
	entry := p.readRule(key)
	if p.byHandle == nil {
		p.byHandle = map[ruleKey]*ruleEntry{}
	}
	p.byHandle[key] = entry
	return entry.rule
}

func (p *point) readRule(key ruleKey) *ruleEntry {
	entry := &ruleEntry{rule: &evidence.Rule{Family: familyName(key.family), Table: key.table, Chain: key.chain, Handle: key.handle}}
	if key.handle == 0 {
		return entry
	}
	found, err := p.rules.rule(key)
	if err != nil {
		return entry
	}
	entry.expressions = found.expressions
	entry.rule.Comment, entry.rule.Rejects = found.comment, found.rejects
	node := p.node
	entry.rule.ReadLater(func() (text, iptables string) {
		if now, err := p.rules.rule(key); err != nil || now.comment != found.comment || !slices.Equal(now.expressions, found.expressions) {
			return "", "" // another rule stands there by now
		}
		return textsFor(node, entry.rule)
	})
	return entry
}

// readRule is what one message says of a rule.
type readRule struct {
	comment     string
	rejects     bool
	expressions []string
	effects     []evidence.Effect
}

// rule reads one rule, by its handle.
func (s *nfnl) rule(key ruleKey) (r readRule, err error) {
	err = s.ask(nftMessage(unix.NFT_MSG_GETRULE), 0, key.family, func(m *message) {
		m.text(unix.NFTA_RULE_TABLE, key.table)
		m.text(unix.NFTA_RULE_CHAIN, key.chain)
		m.u64(unix.NFTA_RULE_HANDLE, key.handle)
	}, func(_ byte, attrs []byte) {
		for kind, value := range attributes(attrs) {
			switch kind {
			case unix.NFTA_RULE_EXPRESSIONS:
				for _, element := range attributes(value) {
					r.read(element)
				}
			case unix.NFTA_RULE_USERDATA:
				if comment, ok := userComment(value); ok {
					r.comment = comment
				}
			}
		}
	})
	return r, err
}

// The attributes of the expressions "match" and "target", which are extensions of
// iptables (linux/netfilter/nf_tables_compat.h).
const extensionName, extensionInfo = 1, 3

// read reads an expression.
func (r *readRule) read(expression []byte) {
	var name string
	var data []byte
	for kind, value := range attributes(expression) {
		switch kind {
		case unix.NFTA_EXPR_NAME:
			name = stringOf(value)
		case unix.NFTA_EXPR_DATA:
			data = value
		}
	}
	if name == "match" || name == "target" {
		var extension string
		var info []byte
		for kind, value := range attributes(data) {
			switch kind {
			case extensionName:
				extension = stringOf(value)
			case extensionInfo:
				info = value
			}
		}
		r.rejects = r.rejects || name == "target" && extension == "REJECT"
		if name == "match" && extension == "comment" {
			r.comment = stringOf(info)
		}
		name += " " + extension
	}
	if effect, ok := effectOf(name, data); ok && !slices.Contains(r.effects, effect) {
		r.effects = append(r.effects, effect)
	}
	r.rejects = r.rejects || name == "reject"
	r.expressions = append(r.expressions, name)
}

// userComment finds the comment in what nft keeps with a rule: entries of a type, a
// length and a value (udata.h of libnftnl); a comment is of type 0.
func userComment(data []byte) (string, bool) {
	for len(data) >= 2 {
		kind, length := data[0], int(data[1])
		if length > len(data)-2 {
			break
		}
		if kind == 0 {
			text, _, _ := bytes.Cut(data[2:2+length], []byte{0})
			return string(text), true
		}
		data = data[2+length:]
	}
	return "", false
}

func familyName(family byte) string { return familyNames[nftables.TableFamily(family)] }

// String is where a rule is, in words.
func (k ruleKey) String() string {
	return strings.Join([]string{familyName(k.family), k.table, k.chain}, " ")
}
