package watch

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/wire"
)

// coverageVar is the file that says which rules probes have tried; unset, nobody
// asks the rules.
const coverageVar = "NSTEST_RULE_COVERAGE"

// Covering says whether rule coverage is wanted: $NSTEST_RULE_COVERAGE is set.
func Covering() bool { return os.Getenv(coverageVar) != "" }

// Cover hears for rule coverage what the rules of the labs' nodes do with probes that
// no watch follows: their nonces are of Nonce, their sequence numbers of Sequence.
// end is called when they have ended. Where many are asked, each calls pace before it
// begins: it reads what the nodes told before that is more than their traces have room
// for. It makes none fail: what it could not do is in the file, and on standard error.
// A probe that a watch follows is heard anyway.
func Cover(labs []*harness.Lab, flows ...wire.Flow) (pace, end func()) {
	w, err := Of(labs...)
	if err == nil {
		err = w.expect(flows)
	}
	if err != nil {
		complain(labs, err)
		return func() {}, func() {}
	}
	return w.pacer(), func() {
		w.Drain()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.active--
	}
}

// expect makes ready for probes that are not followed.
func (w *Watch) expect(flows []wire.Flow) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.begin(); err != nil {
		return err
	}
	for _, f := range flows {
		if err := errors.Join(w.hearPort(f), w.hearRare(f)); err != nil {
			return err
		}
	}
	w.active++
	return nil
}

// pacer lets so many probes begin as the traces have room for, were each to meet
// every rule, and then reads what they have the nodes tell.
func (w *Watch) pacer() func() {
	const few = 6 // rules: room is for a dozen, and for two packets where TCP has more
	w.mu.Lock()
	room := w.room()
	for _, p := range w.points {
		if p.uses != nil && p.uses.rules != nil && p.room() > 0 {
			room = min(room, max(1, p.room()/perProbe*few/max(few, len(p.uses.rules.rules))))
		}
	}
	w.mu.Unlock()
	var mu sync.Mutex
	begun := 0
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if begun++; begun > room {
			w.Drain()
			begun = 1
		}
	}
}

// complain notes why a probe was not heard: with the first node that has a ledger,
// which those of a lab that is down have not, and nothing can be heard there.
func complain(labs []*harness.Lab, err error) {
	for _, lab := range labs {
		for _, node := range lab.Nodes() {
			if covers(node) {
				ledgerOf(node).complain("a probe was not heard: %v", err)
				return
			}
		}
	}
}

// ledger is what probes have tried of a node's rules, from its lab's first probe
// to its end.
type ledger struct {
	node *harness.Node
	file string

	mu       sync.Mutex
	now      *ruleset    // as it was last read
	rules    []coverRule // all that were ever read, in order
	uses     map[coverRule]use
	problems []string
	before   func() // end, what is to be done first
}

// covers says whether the node's rules count: a twin's are those of its lab, changed.
func covers(node *harness.Node) bool { return Covering() && !node.Lab().IsTwin() }

// ledgerKey is what a node keeps its ledger by.
type ledgerKey struct{}

// ledgerOf is a node's ledger, which is written when the node goes.
func ledgerOf(node *harness.Node) *ledger {
	return node.Keep(ledgerKey{}, func() any {
		l := &ledger{node: node, file: os.Getenv(coverageVar), uses: map[coverRule]use{}}
		node.OnGone(l.end)
		return l
	}).(*ledger)
}

func (l *ledger) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := fmt.Sprintf(format, args...); !slices.Contains(l.problems, text) {
		l.problems = append(l.problems, text)
	}
}

// look reads the node's rules, unless they are those of the last time.
func (l *ledger) look(generation uint32) (*ruleset, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now != nil && l.now.generation == generation {
		return l.now, nil
	}
	read, err := readRuleset(l.node)
	if err != nil {
		return nil, err
	}
	read.generation = generation
	l.now = read
	for _, rule := range read.rules {
		if _, known := l.uses[rule]; !known {
			l.uses[rule] = never
			l.rules = append(l.rules, rule)
		}
	}
	return read, nil
}

// note keeps the most that a rule did.
func (l *ledger) note(rule coverRule, did use) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uses[rule] = max(did, l.uses[rule])
}

// end reads the rules for the last time, and writes. What fails here, or failed
// before, fails no test.
func (l *ledger) end() {
	if l.before != nil {
		l.before()
	}
	if !l.node.Attached() {
		const none = 0 // that of the last time, whatever it is, is not this one's
		if _, err := l.look(none); err != nil {
			l.complain("the rules at the end: %v", err)
		}
	}
	for _, problem := range l.problems {
		fmt.Fprintf(os.Stderr, "nstest: rule coverage: lab %s: node %s: %s\n", l.node.Lab().Name(), l.node, problem)
	}
	if err := l.write(); err != nil {
		fmt.Fprintf(os.Stderr, "nstest: rule coverage: lab %s: node %s: %v\n", l.node.Lab().Name(), l.node, err)
	}
}

// written are the lines that this process has put into a file already: a network
// that is built for each of a hundred tests is told once.
var written sync.Map

// write appends to the file in one go, so that processes do not write into each
// other's lines.
func (l *ledger) write() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text strings.Builder
	add := func(fields ...string) {
		for i, field := range fields {
			fields[i] = strings.Join(strings.Fields(field), " ") // neither tabs nor new lines
		}
		line := strings.Join(fields, "\t") + "\n"
		if _, had := written.LoadOrStore(l.file+"\n"+line, true); !had {
			text.WriteString(line)
		}
	}
	network, node := l.node.Lab().Name(), l.node.Name()
	for _, rule := range l.rules {
		add(l.uses[rule].String(), network, node, rule.family, rule.table, rule.chain, fmt.Sprint(rule.ordinal), rule.text)
	}
	for _, problem := range l.problems {
		add("problem", network, node, problem)
	}
	if text.Len() == 0 {
		return nil
	}
	file, err := os.OpenFile(l.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text.String())
	return errors.Join(err, file.Close())
}
