package watch

import (
	"slices"
	"time"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
)

// Confirm says whether the cause of a probe's silence, which only the state suggests, is
// so: again asks a second time, with a trail of its own that it returns, and meanwhile
// a counter of the node moves that nothing else moves. Then no answer can come. What
// may pass by itself is never confirmed, and neither is what a blind spot may hide.
func (w *Watch) Confirm(t *Trail, again func() (*Trail, error)) bool {
	first := w.Explain(t, Heard{})
	if first.Kind == evidence.Unknown || first.Passing || first.Rule != nil {
		return false
	}
	moved := confirming(first.Kind)
	p := w.pointOf(first.Node)
	if p == nil {
		return false
	}
	w.confirming.Lock() // of two that move a counter at once neither is confirmed
	defer w.confirming.Unlock()
	begun := time.Now()
	before, err := p.count()
	if err != nil {
		return false
	}
	second, err := again()
	if err != nil {
		return false
	}
	after, err := p.count()
	if err != nil || !moved(func(name string) uint64 { return after[name] - before[name] }) {
		return false
	}
	cause := w.Explain(second, Heard{})
	same := cause.Kind == first.Kind && cause.Node == first.Node && cause.Leg == first.Leg && !cause.Passing
	return same && w.alone(t, second, begun, kernelAnswers(first, t.Flow.Protocol))
}

// confirming says by how much counters moved whether a cause of that kind is so.
func confirming(kind evidence.Kind) func(moved func(string) uint64) bool {
	if kind == evidence.Blackhole { // it counts nothing: what came in went nowhere
		return func(moved func(string) uint64) bool {
			for _, ip := range []struct{ in, out, up string }{
				{"Ip.InReceives", "Ip.ForwDatagrams", "Ip.InDelivers"}, {"Ip6.InReceives", "Ip6.OutForwDatagrams", "Ip6.InDelivers"},
			} {
				if moved(ip.in) > 0 && moved(ip.out) == 0 && moved(ip.up) == 0 {
					return true
				}
			}
			return false
		}
	}
	counters := verdict.Confirming(kind)
	if len(counters) == 0 { // its state alone shows it, and that a second packet fares alike
		return func(func(string) uint64) bool { return true }
	}
	return func(moved func(string) uint64) bool {
		return slices.ContainsFunc(counters, func(name string) bool { return moved(name) > 0 })
	}
}

func (w *Watch) pointOf(label string) *point {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.byLabel[label]
}

// count reads the counters of the node.
func (p *point) count() (map[string]uint64, error) {
	if p.counters == nil {
		err := p.node.Do(func() (err error) {
			p.counters, err = inspect.OpenKernelCounters()
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return p.counters.Read()
}

// kernelAnswers says whether it is the target's kernel alone that could answer: what
// arrives at a program may be answered late.
func kernelAnswers(c evidence.Cause, protocol wire.Protocol) bool {
	return (c.Leg == evidence.Answer || c.Kind == evidence.Ignored) && protocol != wire.UDP
}

// alone says whether nothing was seen of other probes since a time, nothing of the two
// arrived where it may yet be answered, and no node that they came by has a blind spot.
func (w *Watch) alone(first, second *Trail, since time.Time, mayArrive bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	w.countLost()
	for t := range w.book.trails {
		if t != second && t.last.After(since) {
			return false
		}
	}
	for _, t := range []*Trail{first, second} {
		a := account.Of(w.input(t))
		if a.Lost != "" || a.Delivered() && !mayArrive || w.blind(a.Touched(account.Request)) || w.blind(a.Touched(account.Answer)) {
			return false
		}
	}
	return true
}
