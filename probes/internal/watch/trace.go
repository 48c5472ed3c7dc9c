package watch

import (
	"cmp"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// Trace hears what the rules of one node do with packets that have the trace flag. It sets
// none: a rule of who opens it does.
type Trace struct{ t *tracer }

// TraceStep is what a rule or a policy did with a packet, or a chain without a rule that matched.
type TraceStep struct {
	// Family is nft's word; Handle is 0 for a policy, and at a chain's end.
	Family, Table, Chain string
	Handle               uint64
	Policy               bool
	// Verdict is the rule's, as the kernel has it: 0 is drop, 1 is accept, and below 0 the
	// packet goes on.
	Verdict int32
	// ID is the packet's as long as the kernel has it.
	ID  uint32
	Out int // the interface's index
	// Header is the packet's, from the IP header on, in the first step of each base chain; it is
	// good until the next step is read.
	Header []byte
}

// OpenTrace hears the node's. The caller closes it.
func OpenTrace(node *harness.Node) (*Trace, error) {
	var t *tracer
	err := node.Do(func() (err error) {
		t, err = openTracer()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Trace{t}, nil
}

// Room is how much it keeps until it is read, in bytes as the kernel counts them.
func (t *Trace) Room() int { return t.t.room }

// FD is its socket, to wait for.
func (t *Trace) FD() int { return t.t.fd }

// Read hands on what was told, and says whether something was lost.
func (t *Trace) Read(hear func(*TraceStep)) (lost bool) {
	for {
		count, less := t.t.read(func(e *traceEvent) {
			s := TraceStep{
				Family: familyName(e.family), Table: e.table, Chain: e.chain, Handle: e.handle, Verdict: e.verdict,
				ID: e.id, Out: e.oif,
			}
			switch {
			case e.kind == tracePolicy:
				s.Handle, s.Policy, s.Verdict = 0, true, int32(e.policy)
			case e.kind != traceRule:
				s.Handle = 0
			}
			if len(e.network) > 0 {
				s.Header = join2(e.network, e.transport)
			}
			hear(&s)
		})
		lost = lost || less
		if count < perTurn {
			return lost
		}
	}
}

// Close ends it.
func (t *Trace) Close() { _ = unix.Close(t.t.fd) }

// RuleTexts are the node's rules as nft prints them, without their counts; in iptables' words where nft has
// none. Without nft there are none.
func RuleTexts(node *harness.Node) func(*inspect.Rule) string {
	texts := textsOf(output(node, nftPath(), "-s", "-t", "-a", "list", "ruleset")) // rules have no elements of sets that have a name
	tables := map[*inspect.Table]savedTable{}
	return func(r *inspect.Rule) string {
		t := r.Chain.Table
		text := texts[ruleKey{byte(families[t.Family]), t.Name, r.Chain.Name, r.Handle}]
		if !isWordless(text) {
			return text
		}
		if _, known := tables[t]; !known {
			tables[t] = savedChains(node, t.Family, t.Name)
		}
		return cmp.Or(tables[t].rule(r.Chain.Name, r.Position-1), text)
	}
}
