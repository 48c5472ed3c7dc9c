package watch

import (
	"bytes"

	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// use is the most that a rule did with packets of probes.
type use int

const (
	never   use = iota // no such packet matched it
	matched            // it did what it does, which is no verdict: it counted, marked, jumped
	decided            // it gave the verdict
)

func (u use) String() string { return [...]string{"never", "matched", "decided"}[u] }

// use is what an event says of which rule.
func (e *traceEvent) use() (ruleKey, use) {
	key := ruleKey{e.family, e.table, e.chain, e.handle}
	switch {
	case e.kind == tracePolicy:
		key.handle = 0
		return key, decided
	case e.handle == 0: // the end of a chain that was jumped to
		return key, never
	case e.kind == traceRule && e.verdict >= 0: // below are continue, jump and return
		return key, decided
	}
	return key, matched
}

// uses are what a point hears for its node's ledger; nil where coverage is not wanted.
type uses struct {
	*ledger
	mark  mark
	ports map[uint16]int
	rules *ruleset        // as they were read last
	ours  map[uint32]bool // packets of probes, by what the kernel calls them
	heard map[ruleKey]use // of rules that were not read
}

func newUses(l *ledger, m mark, ports map[uint16]int) *uses {
	return &uses{ledger: l, mark: m, ports: ports, ours: map[uint32]bool{}, heard: map[ruleKey]use{}}
}

// look reads the rules of a generation. What was heard of them before they were read
// is put down.
func (u *uses) look(generation uint32) {
	if u == nil {
		return
	}
	var err error
	if u.rules, err = u.ledger.look(generation); err != nil {
		u.complain("read rules: %v", err)
		return
	}
	u.settle(false)
}

// settle puts down what was heard of rules that were not read then. What has no rule
// at the end is told.
func (u *uses) settle(last bool) {
	for key, did := range u.heard {
		rule, ok := u.rules.find(key)
		switch {
		case ok:
			u.note(rule, did)
		case !last:
			continue
		case did != never:
			u.complain("a rule of %s was tried, and gone before it could be read", key)
		}
		delete(u.heard, key)
	}
}

// hear notes an event of a probe's packet: a test's own rules may have others traced.
// A packet shows itself where it enters a base chain, and its number is soon another's.
func (u *uses) hear(e *traceEvent) {
	if u == nil {
		return
	}
	if len(e.network) > 0 {
		packet, ok := wire.Parse(join2(e.network, e.transport))
		if ok && u.isProbes(packet) {
			u.ours[e.id] = true
		} else {
			delete(u.ours, e.id)
		}
	}
	if !u.ours[e.id] || IsOwn(e.table) {
		return
	}
	key, did := e.use()
	if rule, ok := u.rules.find(key); ok {
		u.note(rule, did)
		return
	}
	u.heard[key] = max(did, u.heard[key])
}

// isProbes says of a packet what the mark's matches say to the kernel.
func (u *uses) isProbes(p *wire.Packet) bool {
	switch {
	case p.IsEcho():
		return bytes.HasPrefix(p.Payload, u.mark.echo[:])
	case p.IsDatagram():
		return bytes.HasPrefix(p.Payload, []byte(wire.RequestWord)) || bytes.HasPrefix(p.Payload, []byte(wire.AnswerWord)) ||
			u.ports[p.SourcePort] > 0 || u.ports[p.DestinationPort] > 0
	case p.Protocol == unix.IPPROTO_TCP, p.Protocol == unix.IPPROTO_SCTP:
		return p.Seq&isnMask == u.mark.isn || p.Ack&isnMask == u.mark.isn
	}
	return false
}

func (u *uses) lose(what string) {
	if u != nil {
		u.complain("%s: what is said never to be tried may have been", what)
	}
}

// end puts down what is left.
func (u *uses) end() {
	if u != nil {
		u.settle(true)
	}
}
