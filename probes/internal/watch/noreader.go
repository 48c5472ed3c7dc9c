package watch

import (
	"regexp"
	"slices"
	"strconv"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/verdict"
)

// severalQueues is the number of a rule that has many.
const severalQueues = -1

// queued are the trail's packets that rules gave to queues and did not get back. The caller
// holds w.mu.
func (t *Trail) queued() (all []verdict.Queued) {
	for _, r := range t.records {
		if r.Took == tookQueue && r.by != nil {
			all = append(all, verdict.Queued{Node: r.Node, Role: r.role, Rule: r.by, Number: r.queue, Read: true})
		}
	}
	return all
}

// readQueues finds out which of the queues no program reads.
func (w *Watch) readQueues(queued []verdict.Queued) {
	for i, q := range queued {
		p := w.pointOf(q.Node)
		if p == nil || q.Number == severalQueues {
			continue
		}
		var readers []int
		err := p.node.Do(func() (err error) {
			readers, err = inspect.QueueReaders()
			return err
		})
		queued[i].Read = err != nil || slices.Contains(readers, q.Number)
	}
}

var (
	legacyQueue  = regexp.MustCompile(`(?:^| )--queue-num (\d+)`)
	legacyQueues = regexp.MustCompile(`(?:^| )--queue-balance `)
)

// taker is the rule that an event says gave a packet to a queue, and the queue's number; nil
// where none did.
func (c *legacyChain) taker(e legacyEvent) (r *evidence.Rule, number int) {
	if c == nil || e.kind == "policy" || e.number < 1 || e.number > len(c.rules) {
		return nil, 0
	}
	plain, target := c.target(e.number)
	if target != "NFQUEUE" && target != "QUEUE" {
		return nil, 0
	}
	r = c.at(e.number)
	if legacyQueues.MatchString(plain) {
		return r, severalQueues
	}
	if found := legacyQueue.FindStringSubmatch(plain); found != nil {
		number, _ = strconv.Atoi(found[1])
	}
	return r, number
}

// takeLegacy notes that a rule of iptables-legacy gave a packet to a queue. What comes back
// from there comes to a further hook, or to no tap.
func (t *Trail) takeLegacy(p *point, role role, e legacyEvent) {
	rule, number := e.chain.taker(e)
	if rule == nil {
		return
	}
	for _, r := range slices.Backward(t.records) {
		through := slices.Contains(r.Hooks, account.InputHook) || slices.Contains(r.Hooks, account.PostroutingHook)
		if r.Node == p.label && r.role == role && r.Drop == nil && !through && r.packet.Tuple() == e.packet.Tuple() {
			r.Took, r.queue, r.by = tookQueue, number, rule
			r.By = legacyAccountRule(rule)
			return
		}
	}
}
