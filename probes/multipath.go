package probes

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/watch"
)

const (
	// multipathTries bounds how often a probe is asked until it has gone every way of a
	// multipath route that chooses by ports.
	multipathTries = 64
	// labelTries bounds how many frames are sent, so many at once, until one has gone every way
	// of one that chooses by flow labels.
	labelTries, labelsAtOnce = 256, 32
)

// branch is one way of a multipath route, known by the interface that it leads out by, and where
// another way leads out by that as well, by who gets what takes it.
type branch struct {
	at, to string // to is "" where the lab has nobody with the gateway's address
	link   string // the interface's name
	route  string
	by     rules.Trait // what chooses it, of what a program may choose: SourcePort, FlowLabel
	hop    inspect.Hop
	shared bool // another way of the route leads out by the interface
	own    bool // the route is the asker's
}

// String says it: by gw2 on wan of multipath route 10.0.9.0/24 at fw.
func (b branch) String() string {
	by := "on " + b.link
	if b.to != "" {
		by = fmt.Sprintf("by %s on %s", b.to, b.link)
	}
	return fmt.Sprintf("the way %s of multipath route %s at %s", by, b.route, b.at)
}

// tookBy says whether a result's packets of a leg have gone the way, or ended where they were about
// to: a rule of the node saw that they would leave by it.
func (b branch) tookBy(r Result, leg evidence.Role) bool {
	seen := func(node string, direction evidence.Direction, index int) bool {
		return slices.ContainsFunc(r.Timeline, func(s evidence.Sighting) bool {
			return s.Role == leg && s.Direction == direction && !s.Foreign && s.Node == node && (index == 0 || s.Index == index)
		})
	}
	left := seen(b.at, evidence.Out, b.hop.Index)
	ended := !left && slices.ContainsFunc(r.metBy(leg), func(p watch.Passage) bool {
		return p.Node.Name() == b.at && p.Out.Index == b.hop.Index
	})
	if b.shared {
		return ended || b.to != "" && seen(b.to, evidence.In, 0)
	}
	return left || ended
}

// branches asks about a finding until every way of the multipath routes that it came by
// was taken. What was never taken is a doubt.
func (m *IsolationMatcher) branches(q question, c *recall, f *finding) (more []finding, err error) {
	if f.from == nil {
		return nil, nil
	}
	var left []branch
	for _, node := range f.from.Lab().Nodes() {
		if !slices.ContainsFunc(f.Timeline, func(s evidence.Sighting) bool { return s.Node == node.Name() && s.Role == m.leg }) || f.endedAhead(node, m.leg) {
			continue
		}
		ways, err := c.branchesAt(node, f)
		if err != nil {
			return nil, err
		}
		left = append(left, ways...)
	}
	w := &ways{m: m, q: q, of: f, left: left}
	w.sees(f.Result)
	for _, ask := range []func() error{w.byPorts, w.byHops, w.byLabels} {
		if err := ask(); err != nil || w.over {
			return w.more, err
		}
	}
	if len(w.left) > 0 {
		f.doubt = rules.Memory{Kind: rules.Chance, Text: fmt.Sprintf("%s, which none of %d probes took", w.left[0], 1+w.tries)}
	}
	return w.more, nil
}

// ways are those of multipath routes that a finding's request has not gone yet.
type ways struct {
	m     *IsolationMatcher
	q     question
	of    *finding
	left  []branch
	more  []finding // of what was asked meanwhile
	tries int
	over  bool // one of them shows something else
}

// leftBy are those that are left which something chooses.
func (w *ways) leftBy(chooses func(branch) bool) []branch {
	return slices.DeleteFunc(slices.Clone(w.left), func(b branch) bool { return !chooses(b) })
}

// sees takes the ways that a result's request has gone from those that are left.
func (w *ways) sees(r Result) {
	w.left = slices.DeleteFunc(w.left, func(b branch) bool { return b.tookBy(r, w.m.leg) })
}

// byPorts asks from other ports.
func (w *ways) byPorts() error {
	for try := 0; try < multipathTries; try++ {
		if len(w.leftBy(func(b branch) bool { return b.by == rules.SourcePort })) == 0 {
			return nil
		}
		again, err := w.q.once(w.m.ctx, *w.of)
		if err != nil {
			return err
		}
		w.tries++
		w.more = append(w.more, again...)
		for _, a := range again {
			if is, _ := w.m.judge(a); is != holds {
				w.over = true // that is enough
				return nil
			}
			w.sees(a.Result)
		}
	}
	return nil
}

// byHops sends frames to each next one of the asker's own route whom no probe was sent to, as the
// label is the program's to choose.
func (w *ways) byHops() error {
	var frames []*frame
	for _, b := range w.leftBy(func(b branch) bool { return b.own && b.by == rules.FlowLabel }) {
		if sent, ok := w.of.straight(b.hop.Index, b.hop.Via); ok {
			frames = append(frames, sent)
		}
	}
	return w.send(frames)
}

// byLabels sends frames with other flow labels to whom the request was sent.
func (w *ways) byLabels() error {
	isLeft := func() bool {
		return len(w.leftBy(func(b branch) bool { return !b.own && b.by == rules.FlowLabel })) > 0
	}
	if !isLeft() {
		return nil
	}
	next, ok := w.of.nextHop()
	sent, _, at := w.of.firstHop()
	if !ok || at < 0 {
		return nil
	}
	straight, ok := w.of.straight(sent.Index, next)
	if !ok {
		return nil
	}
	for try := 0; try < labelTries && isLeft() && !w.over; try += labelsAtOnce {
		var frames []*frame
		for range labelsAtOnce {
			const labels = 1 << 20 // RFC 6437
			one := *straight
			one.label = rand.Uint32N(labels)
			frames = append(frames, &one)
		}
		if err := w.send(frames); err != nil {
			return err
		}
	}
	return nil
}

// send sends frames, and takes what comes of them.
func (w *ways) send(frames []*frame) error {
	f := w.of
	results, err := sendFrames(w.m.ctx, w.q.to, slices.Repeat([]*finding{f}, len(frames)), frames)
	if err != nil {
		return err
	}
	w.tries += len(frames)
	for _, r := range results {
		if r.gotThrough() {
			f.leaks = objection{
				fmt.Sprintf("%s; but a multipath route on the way chooses by the flow label, which any program may choose: with another one the request arrives", endOf(f.Result)),
				"stop the request on each way of it",
			}
			f.Timeline = append(f.Timeline, r.Timeline...)
			w.over = true
			return nil
		}
		again := finding{Result: r, fixed: f.fixed, aside: f.aside, group: f.group, closed: f.closed}
		if is, _ := w.m.judge(again); is != holds {
			w.more, w.over = append(w.more, again), true
			return nil
		}
		w.sees(r)
	}
	return nil
}

// branchesAt are the ways of a node's multipath routes to a finding's address, where it chooses by
// what a program may choose of such a probe.
func (c *recall) branchesAt(node *harness.Node, f *finding) (ways []branch, err error) {
	state, err := c.routingOf(node)
	if err != nil {
		return nil, err
	}
	to, ok := f.goesTo(c.leg)
	if !ok {
		return nil, nil
	}
	routes := slices.DeleteFunc(slices.Clone(state.Routes), func(r inspect.Route) bool {
		return len(r.Hops) < 2 || !r.To.Contains(to) || state.Overtaken(r, to)
	})
	if len(routes) == 0 {
		return nil, nil
	}
	by := hashed(node, to)
	if !f.Probe.kind.ports {
		by &^= rules.SourcePort
	}
	if by&rules.SourcePort != 0 || by != 0 && c.leg == evidence.Answer {
		by = rules.SourcePort // each probe has another label as well, and each answer
	}
	if by == 0 {
		return nil, nil
	}
	for _, r := range routes {
		for _, hop := range r.Hops {
			link, err := linkAt(node, hop.Index)
			if err != nil {
				return nil, fmt.Errorf("node %s: multipath route %s: %w", node, r.To, err)
			}
			b := branch{at: node.Name(), link: link, route: r.To.String(), by: by, hop: hop, own: node == f.from}
			b.shared = slices.ContainsFunc(r.Hops, func(other inspect.Hop) bool { return other.Index == hop.Index && other.Via != hop.Via })
			owners := node.Lab().Plan().Owners(hop.Via)
			if len(owners) == 0 {
				owners = []string{""}
			}
			for _, b.to = range owners {
				ways = append(ways, b)
			}
		}
	}
	return ways, nil
}

// endedAhead says whether a rule of a node ended the finding's packets there before it was settled
// where they leave.
func (f *finding) endedAhead(node *harness.Node, leg evidence.Role) bool {
	if !slices.ContainsFunc(f.Timeline, func(s evidence.Sighting) bool { return s.Role == leg && s.Node == node.Name() && s.Dropped() }) {
		return false
	}
	met := slices.DeleteFunc(slices.Clone(f.metBy(leg)), func(p watch.Passage) bool { return p.Node != node })
	return len(met) > 0 && !slices.ContainsFunc(met, func(p watch.Passage) bool { return p.Out.Index != 0 })
}

// goesTo is where a finding's requests go, or its answers.
func (f *finding) goesTo(leg evidence.Role) (to netip.Addr, ok bool) {
	if leg == evidence.Request {
		return f.Addr.WithZone(""), true
	}
	at := slices.IndexFunc(f.Timeline, func(s evidence.Sighting) bool { return s.Role == leg })
	if at < 0 {
		return to, false
	}
	return f.Timeline[at].Destination, true
}

// hashed are what a program may choose of that by which a node's multipath routes choose:
// fib_multipath_hash_policy and _fields of ip-sysctl.rst.
func hashed(node *harness.Node, to netip.Addr) (by rules.Trait) {
	family := "net.ipv4."
	if to.Is6() {
		family = "net.ipv6."
	}
	policy, err := node.Sysctl(family + "fib_multipath_hash_policy")
	if err != nil {
		return 0 // its kernel has no multipath routes
	}
	const addresses, transport, inner, fields = "0", "1", "2", "3"
	switch policy {
	case transport:
		return rules.SourcePort
	case fields:
		const label, sourcePort = 0x8, 0x10
		text, _ := node.Sysctl(family + "fib_multipath_hash_fields")
		set, _ := strconv.ParseUint(text, 0, 32)
		if set&sourcePort != 0 {
			by |= rules.SourcePort
		}
		if set&label != 0 && to.Is6() {
			by |= rules.FlowLabel
		}
	case addresses, inner: // of what is in no tunnel they are the same
		if to.Is6() {
			by = rules.FlowLabel
		}
	}
	return by
}
