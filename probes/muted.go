package probes

import (
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/wire"
)

// A kernel sends all that it says by ICMP through one socket a processor: since Linux 5.18 for all namespaces. What waits in a
// queue, or for a neighbour, fills its buffer, also where that is in another lab; then an echo reply, or the error of a closed
// port, is not sent at all, and counted (Icmp OutErrors). That says nothing of the network, so such a probe is asked again.

// mostMuted bounds how often.
const mostMuted = 2

// unmute asks those again of which the answer may be one that a kernel failed to send. ask asks some, by their numbers, all at once.
func unmute(all []*asking, ask func(some []int) error) error {
	for range mostMuted {
		var some []int
		by := map[int]*harness.Node{}
		known := mutes{}
		for i, a := range all {
			if node := known.by(a); node != nil {
				some, by[i] = append(some, i), node
				*a = a.afresh()
			}
		}
		if len(some) == 0 {
			return nil
		}
		if err := ask(some); err != nil {
			return err
		}
		for i, node := range by {
			r := &all[i].result
			r.detail = strings.TrimPrefix(r.detail+", asked again, since the kernel of "+node.Name()+" failed to send by ICMP", ", ")
		}
	}
	return nil
}

// unmute is that for one.
func (a *asking) unmute(ask func() error) error {
	return unmute([]*asking{a}, func([]int) error { return ask() })
}

// unmuteTasks is that for those of a survey.
func unmuteTasks(tasks []*task, ask func(some []*task) error) error {
	all := make([]*asking, len(tasks))
	for i, t := range tasks {
		all[i] = &t.asking
	}
	return unmute(all, func(some []int) error {
		var again []*task
		for _, i := range some {
			again = append(again, tasks[i])
		}
		return ask(again)
	})
}

// mutes are the nodes that were looked at: whether their kernel has failed to send by ICMP.
type mutes map[*harness.Node]bool

// by is the node that a silent probe came to, as far as is known, if its kernel has failed to send by ICMP; nil for none. Of one that
// somebody else made it is not known since when.
func (m mutes) by(a *asking) *harness.Node {
	r := &a.result
	if r.Outcome != Silent || a.line != nil || a.frame != nil || a.probe.kind.protocol == wire.TCP {
		return nil
	}
	node := r.target
	if node == nil {
		if owners := a.ownersOf(a.addr); len(owners) == 1 {
			node = owners[0]
		}
	}
	if r.Cause != nil {
		if !isOpen(*r.Cause) {
			return nil
		}
		if at := a.watched.watch.Node(r.Cause.Node); at != nil {
			node = at
		}
	}
	if node == nil || node.Attached() {
		return nil
	}
	if _, looked := m[node]; !looked {
		m[node] = hasFailed(node)
	}
	if !m[node] {
		return nil
	}
	return node
}

// hasFailed says whether a node's kernel has failed to send by ICMP; not where that cannot be read, as when its lab is down.
func hasFailed(node *harness.Node) bool {
	var counts map[string]uint64
	err := node.Do(func() (err error) {
		counts, err = kernelCounts()
		return err
	})
	return err == nil && counts["Icmp.OutErrors"]+counts["Icmp6.OutErrors"] > 0
}
