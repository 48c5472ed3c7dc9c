package watch

import (
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
)

// Confirm says whether the cause of a probe's silence, which only the state suggests, is
// so: again asks a second time, with a trail of its own that it returns, and meanwhile
// a counter of the node moves that nothing else moves. Then no answer can come. What
// may pass by itself is never confirmed, and neither is what a blind spot may hide. A
// neighbour that was waited for and then given up needs no second try: what waited is gone.
func (w *Watch) Confirm(t *Trail, again func() (*Trail, error)) bool {
	first := w.Explain(t, Heard{})
	at, waits := awaiting(first)
	switch {
	case waits && first.Passing:
		t.awaits = at
		return false
	case waits && t.awaits == at:
		requests, answers := w.Waiting(t)
		return requests == "" && answers == "" && w.shut(w.mayArrive(first, t), t)
	case first.Kind == evidence.Unknown || first.Passing || first.Rule != nil:
		return false
	}
	moved := confirming(first, t.Flow)
	ends := w.endsAt(first, t)
	if ends {
		moved = anyOf(verdict.ConfirmingEnd(first.Kind))
	}
	return w.tryAgain(&try{trail: t, first: first, again: again, moved: moved, mayArrive: func(second *Trail) bool {
		return w.mayArrive(first, t, second) || ends && w.endsAt(first, t, second)
	}})
}

// awaiting is where a packet waits for a neighbour; false of another cause.
func awaiting(c evidence.Cause) (at verdict.End, waits bool) {
	if c.Discovery != nil {
		return verdict.End{Node: c.Discovery.Node, Interface: c.Discovery.Interface}, true
	}
	return verdict.End{Node: c.Node, Interface: c.Interface}, c.Kind == evidence.Neighbour
}

// moves says whether counters show that the cause of each of so many tries is so, by how
// much each has moved.
type moves func(by func(counter string) uint64, tries uint64) bool

// confirming says by how much counters moved whether a cause is so.
func confirming(c evidence.Cause, f wire.Flow) moves {
	if f.Protocol == wire.ICMP && (c.Kind == evidence.Ignored || routeless(c, f)) {
		return func(by func(string) uint64, tries uint64) bool { // IPv4 does not count the answer that it has no route for
			return by("Icmp.InEchos") >= tries && by("Icmp.OutEchoReps") == 0 ||
				by("Icmp6.InEchos") >= tries && by("Icmp6.OutEchoReplies") == 0 || by("IpExt.InNoRoutes") >= tries || by("Ip6.InNoRoutes") >= tries
		}
	}
	if c.Kind != evidence.NoRoute && routeless(c, f) { // a program cannot send it, or the kernel drops the connection
		return func(by func(string) uint64, tries uint64) bool {
			var in, out uint64
			for _, protocol := range []string{"Udp", "Udp6", "UdpLite", "UdpLite6"} {
				in, out = in+by(protocol+".InDatagrams"), out+by(protocol+".OutDatagrams")
			}
			return in >= tries && out == 0 || by("TcpExt.ListenDrops") >= tries
		}
	}
	if c.Kind == evidence.Blackhole { // it counts nothing: what came in went nowhere
		in, out, up := "Ip.InReceives", "Ip.ForwDatagrams", "Ip.InDelivers"
		if f.Addr.Is6() {
			in, out, up = "Ip6.InReceives", "Ip6.OutForwDatagrams", "Ip6.InDelivers"
		}
		return func(by func(string) uint64, tries uint64) bool { return by(in) >= by(out)+by(up)+tries }
	}
	counters := verdict.Confirming(c.Kind)
	if c.Kind == evidence.MTU && c.Leg == evidence.Request && c.Node == f.To {
		counters = nil // the other end of a link says nothing, and counts nothing
	}
	if len(counters) == 0 { // its state alone shows it, and that a second packet fares alike
		return func(func(string) uint64, uint64) bool { return true }
	}
	return anyOf(counters)
}

// anyOf says that one of the counters has moved for each try.
func anyOf(counters []string) moves {
	return func(by func(string) uint64, tries uint64) bool {
		return slices.ContainsFunc(counters, func(name string) bool { return by(name) >= tries })
	}
}

// routeless says whether the target has no way for its answer, whoever makes it there.
func routeless(c evidence.Cause, f wire.Flow) bool {
	closed := slices.Contains([]evidence.Kind{evidence.Blackhole, evidence.Unreachable, evidence.Prohibit}, c.Kind)
	return c.Leg == evidence.Answer && (c.Kind == evidence.NoRoute || closed && c.Node == f.To)
}

// endsAt says whether a cause is that the target's kernel ended all that came in there of the
// request, which a counter can show of the last trail: one packet, and of an earlier trail
// perhaps what its kernel sent again.
func (w *Watch) endsAt(c evidence.Cause, trails ...*Trail) bool {
	if c.Leg == evidence.Answer || verdict.ConfirmingEnd(c.Kind) == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, t := range trails {
		came := 0
		for _, p := range w.accountOf(t).Packets {
			if p.Role != account.Request || p.Stray || p.End.Kind != account.Delivered {
				continue
			}
			if came++; p.Copy || p.End.Node != c.Node || p.End.Seen && c.Kind != evidence.NoListener && c.Kind != evidence.XFRM {
				return false
			}
		}
		if came == 0 || came > 1 && i > 0 {
			return false
		}
	}
	return true
}

func (w *Watch) pointOf(label string) *point {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.byLabel[label]
}

// count reads the counters of the node.
func (p *point) count() (map[string]uint64, error) {
	if p.counters == nil {
		err := p.opens(func() (err error) {
			p.counters, err = inspect.OpenKernelCounters()
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return p.counters.Read()
}

// mayArrive says whether the request may have arrived: where the target's kernel alone
// could answer, or its answer was made, as was seen or as a counter shows. What a program
// gets may else be answered late.
func (w *Watch) mayArrive(c evidence.Cause, trails ...*Trail) bool {
	if c.Leg != evidence.Answer && c.Kind != evidence.Ignored {
		return false
	}
	if !trails[0].Flow.Protocol.IsDatagrams() || routeless(c, trails[0].Flow) {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range trails {
		if _, answered := t.timeline.First(evidence.Answer, evidence.Out); !answered {
			return false
		}
	}
	return true
}

// shut says whether nothing of the trails arrived where it may yet be answered, and no node
// that they came by has a blind spot.
func (w *Watch) shut(mayArrive bool, trails ...*Trail) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	w.countLost()
	for _, t := range trails {
		a := w.accountOf(t)
		if a.Lost != "" || a.Delivered() && !mayArrive || w.blind(a.Touched(account.Request)) || w.blind(a.Touched(account.Answer)) {
			return false
		}
	}
	return true
}
