package probes

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/watch"
)

// mostTimes bounds how often a rule that counts is asked.
const mostTimes = 256

// mostTwice is how many of a period are asked for twice.
const mostTwice = 16

// recall says of what held whether it would hold another time: where rules that remember
// have decided it is asked again, or doubted.
type recall struct {
	leg     evidence.Role
	sets    map[*harness.Node]*inspect.Ruleset
	legacy  map[*harness.Node][]string // the programs of iptables-legacy that have tables there
	sampled int
	chains  map[*inspect.Ruleset]*rules.Chains
	routing map[*harness.Node]*routing
	texts   map[*inspect.Rule]*evidence.Rule
}

func newRecall(leg evidence.Role, sampled int) *recall {
	return &recall{
		leg:  leg,
		sets: map[*harness.Node]*inspect.Ruleset{}, legacy: map[*harness.Node][]string{}, sampled: sampled,
		chains: map[*inspect.Ruleset]*rules.Chains{}, routing: map[*harness.Node]*routing{}, texts: map[*inspect.Rule]*evidence.Rule{},
	}
}

// doubt doubts findings that cannot be asked about again.
func (m *IsolationMatcher) doubt(found []finding) error {
	c := newRecall(m.leg, m.sampled)
	for i := range found {
		if is, _ := m.judge(found[i]); is != holds {
			continue
		}
		times, err := c.times(&found[i])
		if err != nil {
			return err
		}
		switch {
		case times > 1:
			found[i].doubt = found[i].again
		case found[i].doubt.Rule == nil:
			found[i].doubt = rules.Memory{} // the rules have changed since: it was true then
		}
		if m.leg == evidence.Answer {
			continue
		}
		choices, err := c.choices(&found[i])
		if err != nil {
			return err
		}
		if len(choices) > 0 {
			found[i].choice = &choices[0]
		}
	}
	return nil
}

// once asks again what a finding is of.
func (q question) once(ctx context.Context, f finding) ([]finding, error) {
	at := pair{to: f.Addr, aside: f.aside, group: f.group}
	q.first = true
	q.wanted = []wanted{{Probe: f.Probe, pairs: []pair{at}, fixed: f.fixed, closed: f.closed, forwarded: f.forwarded}}
	return q.ask(ctx)
}

// times is how often a finding is to be asked for it to count: once, unless rules
// remember. It doubts what no number of times would show.
func (c *recall) times(f *finding) (times int, err error) {
	times = 1
	var counted []fmt.Stringer
	for _, passage := range f.metBy(c.leg) {
		chains, err := c.prepared(passage.Node)
		if err != nil {
			return 0, err
		}
		for _, memory := range chains.Deciding(c.packetOf(f, passage), passage.Steps) {
			switch n := c.timesOf(memory); {
			case f.chose(memory):
			case n == 0:
				f.doubt = memory
				return 1, nil
			case memory.Kind == rules.Period && slices.Contains(counted, memory.Rule):
			default:
				f.counts(memory, &counted)
				times = max(times, n, f.again.Period)
			}
			if times > mostTimes && times > c.sampled {
				f.doubt = memory
				return 1, nil
			}
		}
	}
	times, err = c.legacyTimes(f, times)
	if err != nil || f.doubt.Kind != 0 {
		return times, err
	}
	memory, is, err := c.drawn(f)
	switch n := c.timesOf(memory); {
	case err != nil || !is:
		return times, err
	case n == 0:
		f.doubt = memory
		return 1, nil
	default:
		f.again = memory
		return max(times, n), nil
	}
}

// counts notes a rule for whose sake a finding is asked again: of what one lets pass that
// counts another may count, and both begin again after as many as one by the other.
func (f *finding) counts(memory rules.Memory, counted *[]fmt.Stringer) {
	if memory.Kind == rules.Period {
		if *counted = append(*counted, memory.Rule); f.again.Kind == rules.Period {
			memory.Period *= f.again.Period
		}
	}
	f.again = memory
}

// chose says whether a rule depends on nothing but what the test chose: the user.
func (f *finding) chose(m rules.Memory) bool {
	return m.Kind == rules.Users && m.Text == rules.ByUser && f.fixed&rules.User != 0
}

// timesOf is how often a rule that remembers is to be asked; 0 for never enough.
func (c *recall) timesOf(memory rules.Memory) int {
	switch memory.Kind {
	case rules.Users, rules.Unread:
		return 0
	case rules.Period:
		if memory.Period <= mostTimes {
			return max(memory.Period, c.sampled)
		}
	}
	return c.sampled
}

func (c *recall) rulesetOf(node *harness.Node) (set *inspect.Ruleset, err error) {
	if c.sets[node] != nil {
		return c.sets[node], nil
	}
	programs, err := c.legacyAt(node)
	if err == nil {
		c.sets[node], err = rulesetWith(node, programs)
	}
	return c.sets[node], err
}

// prepared is a node's ruleset prepared for many packets.
func (c *recall) prepared(node *harness.Node) (*rules.Chains, error) {
	set, err := c.rulesetOf(node)
	if err != nil {
		return nil, err
	}
	if c.chains[set] != nil {
		return c.chains[set], nil
	}
	chains := rules.Prepare(set)
	if chains.Marks() {
		asked, err := c.marksAskedFor(node)
		if err != nil {
			return nil, err
		}
		if !asked {
			chains.MarksNothing()
		}
	}
	c.chains[set] = chains
	return chains, nil
}

// packetOf is what is known of a packet as rules see it.
func (c *recall) packetOf(f *finding, passage watch.Passage) rules.Packet {
	p := passage.Known()
	if !p.Foreign && c.leg == evidence.Request { // the probe's own socket
		uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
		if s := f.Probe.source; s.uid.is {
			uid = uint32(s.uid.n)
		}
		p.UID, p.GID = &uid, &gid
	}
	if p.Fixed = f.fixed; p.Fixed&rules.TOS != 0 {
		p.TOS = &passage.Packet.TOS
	}
	return p
}

// objection is why a finding is doubted.
func doubtOf(f finding) (objection, bool) {
	doubt := f.doubt.String()
	if f.doubt.Rule != nil {
		doubt = fmt.Sprintf("%s depends on %s", f.named(f.doubt.Rule), f.doubt.Text)
	}
	switch f.doubt.Kind {
	case 0:
		return chosen(f)
	case rules.Users:
		return objection{fmt.Sprintf("%s; but %s: it says nothing of what others send", endOf(f.Result), doubt), "isolate whatever user it is"}, true
	case rules.Unread:
		return objection{fmt.Sprintf("%s; but whether it would another time is not known: %s", endOf(f.Result), doubt), ""}, true
	}
	what := "probe in"
	if f.Cause != nil && f.Cause.Leg == evidence.Answer {
		what = "answer back"
	}
	return objection{
		fmt.Sprintf("%s; but %s: in another state it would let the %s", endOf(f.Result), doubt, what),
		"isolate by a rule that does not remember, or say with Sampled(n) how many probes are enough",
	}, true
}
