package watch

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

// book finds the flows that a packet may belong to: a survey has hundreds. A
// packet mostly shows four bytes of a nonce, or an initial sequence number.
type book struct {
	byNonce map[uint32][]*Trail
	byISN   map[uint32][]*Trail
	waiting map[uint16][]*Trail // connections that nothing was seen of, by source port
	unkeyed []*Trail            // datagrams' and connections': what comes back may show neither
}

func newBook() book {
	return book{byNonce: map[uint32][]*Trail{}, byISN: map[uint32][]*Trail{}, waiting: map[uint16][]*Trail{}}
}

func (b *book) add(t *Trail) {
	switch t.Flow.Protocol {
	case wire.ICMP:
		key := binary.BigEndian.Uint32(t.Flow.Nonce[wire.MarkSize:])
		b.byNonce[key] = append(b.byNonce[key], t)
		return
	case wire.UDP:
		key := binary.BigEndian.Uint32(t.Flow.Nonce[:])
		b.byNonce[key] = append(b.byNonce[key], t)
	case wire.TCP:
		b.waiting[t.Flow.SourcePort] = append(b.waiting[t.Flow.SourcePort], t)
	}
	b.unkeyed = append(b.unkeyed, t)
}

// learn notes a connection's initial sequence number.
func (b *book) learn(t *Trail, isn uint32) {
	b.byISN[isn] = append(b.byISN[isn], t)
	port := t.Flow.SourcePort
	b.waiting[port] = slices.DeleteFunc(b.waiting[port], func(other *Trail) bool { return other == t })
	if len(b.waiting[port]) == 0 {
		delete(b.waiting, port)
	}
}

func (b *book) candidates(p *wire.Packet) []*Trail {
	if isn, ok := isnOf(p); ok {
		if found := b.byISN[isn]; len(found) > 0 {
			return found
		}
		return b.waiting[p.SourcePort]
	}
	if p.About != nil {
		if found := b.candidates(p.About); len(found) > 0 {
			return found
		}
		return b.unkeyed
	}
	if key, ok := nonceKey(p); ok {
		if found := b.byNonce[key]; len(found) > 0 {
			return found
		}
	}
	if p.ICMP {
		return nil
	}
	return b.unkeyed
}

// nonceKey is the part of a nonce that book knows flows by, where a packet shows it.
func nonceKey(p *wire.Packet) (uint32, bool) {
	if p.IsEcho() {
		if len(p.Payload) < wire.MarkSize+4 {
			return 0, false
		}
		return binary.BigEndian.Uint32(p.Payload[wire.MarkSize:]), true
	}
	if rest, ok := bytes.CutPrefix(p.Payload, []byte(wire.RequestWord)); ok && len(rest) >= 4 {
		return binary.BigEndian.Uint32(rest), true
	}
	if rest, ok := bytes.CutPrefix(p.Payload, []byte(wire.AnswerWord)); ok && len(rest) >= 8 {
		if raw, err := hex.DecodeString(string(rest[:8])); err == nil {
			return binary.BigEndian.Uint32(raw), true
		}
	}
	return 0, false
}

// ruleBook remembers the rules that were read: nft takes some 10 ms for one.
type ruleBook struct {
	mu    sync.Mutex
	rules map[ruleKey]*evidence.Rule
}

type ruleKey struct {
	node, table, chain string
	family             byte
	handle             uint64
}

// rule is the rule that an event is about; one that is gone by now is known by its
// place alone.
func (b *ruleBook) rule(node *harness.Node, e traceEvent) *evidence.Rule {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := ruleKey{node.Name(), e.table, e.chain, byte(e.family), e.handle}
	if rule, ok := b.rules[key]; ok {
		return rule
	}
	rule, err := ruleOf(node, e)
	if b.rules == nil {
		b.rules = map[ruleKey]*evidence.Rule{}
	}
	if err == nil {
		b.rules[key] = rule
	}
	return rule
}
