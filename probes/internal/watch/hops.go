package watch

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
	"golang.org/x/sys/unix"
)

// Hops are those of the trail's own packets, of what was seen until they are first asked
// for: of the request, then of the answer, or else of the refusal. Rules and routes are read
// then.
func (w *Watch) Hops(t *Trail) evidence.Hops {
	t.hopping.Do(func() { t.hops = w.readHops(t) })
	return t.hops
}

// hopping makes the hops of a trail.
type hopping struct {
	*Watch
	trail   *Trail // as it was
	account account.Account
	records []record
	lost    string
	rules   map[hopRule]*met
}

func (w *Watch) readHops(t *Trail) (all evidence.Hops) {
	w.mu.Lock()
	w.drain()
	h := hopping{Watch: w, trail: &Trail{Flow: t.Flow, timeline: slices.Clone(t.timeline), last: t.last}, account: w.accountOf(t).Detailed(), lost: t.lost, rules: map[hopRule]*met{}}
	for _, r := range t.records {
		h.records = append(h.records, *r)
	}
	w.mu.Unlock()
	for _, role := range []role{request, answer, refusal} {
		hops := h.of(role)
		all = append(all, hops...)
		if role == answer && len(hops) > 0 {
			break
		}
	}
	return all
}

// of are the hops of a role, those of each way together.
func (h *hopping) of(role role) (all evidence.Hops) {
	var ways []string
	var hops []evidence.Hops
	packets, _ := h.account.Sent(account.Role(role))
	for _, p := range packets {
		one := h.follow(role, p)
		key := ""
		for _, hop := range one {
			key += fmt.Sprintf("%q %q %q\n", hop.Node, hop.In, hop.Out)
		}
		at := slices.Index(ways, key)
		if at < 0 {
			ways, hops = append(ways, key), append(hops, one)
			continue
		}
		for i := range one {
			hops[at][i].Rules = joinRules(hops[at][i].Rules, one[i].Rules)
		}
	}
	for i := range hops {
		for j := range hops[i] {
			hops[i][j].Way = i + 1
		}
		all = append(all, hops[i]...)
	}
	return all
}

// joinRules adds to the rules that a way's packets met at a node those of one more.
func joinRules(all, more []evidence.Passed) []evidence.Passed {
	for _, m := range more {
		at := slices.IndexFunc(all, func(p evidence.Passed) bool { return p.Rule == m.Rule && slices.Equal(p.Effects, m.Effects) })
		if at < 0 {
			all = append(all, m)
		} else {
			all[at].Packets += m.Packets
		}
	}
	return all
}

// follow are the hops of one packet: the stations of a node that it came by one after the other
// are one.
func (h *hopping) follow(role role, p account.Packet) (hops evidence.Hops) {
	for first := 0; first < len(p.Stops); {
		last := first + 1
		for last < len(p.Stops) && p.Stops[last].Node == p.Stops[first].Node && !p.Stops[last].Gap {
			last++
		}
		hops = append(hops, h.hop(role, p.Stops[first:last]))
		first = last
	}
	if len(hops) == 0 || p.End.Node != hops[len(hops)-1].Node {
		return hops
	}
	end, told := &hops[len(hops)-1], h.trail.packet(p)
	end.Fate, end.Detail = told.Fate, told.Detail
	if end.Fate == evidence.Delivered {
		if end.Detail = "arrived"; p.End.Seen {
			end.Detail = "delivered"
		}
	}
	return hops
}

// hop is what became of a packet at a node.
func (h *hopping) hop(role role, stops []account.Stop) evidence.Hop {
	first, last := stops[0], stops[len(stops)-1]
	hop := evidence.Hop{Role: role, Node: first.Node, Gap: first.Gap, Came: h.tuple(first.Came), Left: h.tuple(last.Left), Untold: h.untold(stops)}
	if len(first.In) > 0 {
		hop.In = first.In[0].Name
	}
	if out := last.Out; len(out) > 0 {
		hop.Out = out[len(out)-1].Name
		hop.Tunnel = slices.ContainsFunc(out, func(l account.Link) bool { return l.Tunnel })
	}
	hop.Bridged = hop.Out != "" && !slices.ContainsFunc(stops, func(s account.Stop) bool { return !s.Bridge })
	routed := true
	for _, s := range stops {
		hop.Mirrored = hop.Mirrored || s.Mirrored
		for _, i := range s.Records {
			r := &h.records[i]
			routed = routed && (r.Layer != account.Device || r.Took == "") // an interface's own rule sent it on (fwd)
			hop.Rules = joinRules(hop.Rules, h.met(r))
			hop.Mark = cmp.Or(r.Mark, hop.Mark)
		}
	}
	if hop.Out != "" && !hop.Bridged && routed {
		h.route(&hop, stops)
	}
	return hop
}

// tuple is where a packet comes from and goes to; what an echo has in place of ports is left
// out.
func (h *hopping) tuple(header account.Header) evidence.Tuple {
	t := evidence.Tuple{Source: header.Source, Destination: header.Destination}
	if p := h.trail.Flow.Protocol; !p.HasPorts() {
		t.Source, t.Destination = netip.AddrPortFrom(t.Source.Addr(), 0), netip.AddrPortFrom(t.Destination.Addr(), 0)
	}
	return t
}

// untold is why rules of a node may have met a packet of which nothing tells.
func (h *hopping) untold(stops []account.Stop) string {
	node := h.account.SeenInto(stops[0].Node)
	switch p := h.pointOf(stops[0].Node); {
	case h.lost != "":
		return h.lost
	case node.Opaque != "":
		return node.Opaque
	case p != nil && p.legacy == nil && !p.node.Attached() && haveLegacy() && h.hasLegacy(p):
		return "its rules of iptables-legacy could not be traced"
	}
	asideOf := func(s account.Stop) bool { return !s.Bridge && len(s.Records) == 0 }
	if node.Traced && slices.ContainsFunc(stops, asideOf) {
		return "it did not come to the rules, as where a flowtable, tc or a program hands it on"
	}
	return ""
}

func (h *hopping) hasLegacy(p *point) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return p.legacyTables()
}

// route puts the route in that leads such a packet out where it went out.
func (h *hopping) route(hop *evidence.Hop, stops []account.Stop) {
	p := h.pointOf(hop.Node)
	if p == nil {
		return
	}
	var outs []account.Link
	for _, s := range stops {
		outs = append(outs, s.Out...)
	}
	q := h.question(hop, stops)
	state, err := h.states.state(p.node, hop.Node, h.trail.last, inquiry{questions: []inspect.Question{q}})
	if err != nil {
		return
	}
	l := state.Lookups[q]
	led := func(index int) bool {
		return slices.ContainsFunc(outs, func(out account.Link) bool { return out.Index == index })
	}
	d, ok := state.Decide(q)
	if !ok || l.Errno != 0 || !led(l.Out) || d.Route == nil || d.Route.Type != unix.RTN_UNICAST || d.Route.Table != l.Table {
		return
	}
	way := slices.ContainsFunc(d.Route.Hops, func(n inspect.Hop) bool { return n.Index == l.Out })
	if d.Route.Index == l.Out && d.Route.Via == l.Via || way {
		hop.Route, hop.PolicyRule = d.Route, d.Rule
	}
}

// question is the lookup for a packet at a node: after its destination was translated, and
// before its source was.
func (h *hopping) question(hop *evidence.Hop, stops []account.Stop) inspect.Question {
	f, in := h.trail.Flow, stops[0].In
	q := inspect.Question{
		From: hop.Came.Source.Addr(), To: hop.Left.Destination.Addr(), Mark: hop.Mark,
		SourcePort: hop.Came.Source.Port(), Port: hop.Left.Destination.Port(),
	}
	index := 0
	if last := stops[len(stops)-1]; len(in) > 0 {
		if len(last.In) > 0 { // the node's own, above a bridge
			in = last.In
		}
		q.In, index = in[len(in)-1].Index, in[0].Index
	} else if hop.Role == request && hop.Node == f.From {
		q.Out, q.UID, q.TOS, q.Mark = f.Out, f.UID, f.TOS, cmp.Or(q.Mark, f.Mark)
	}
	for _, s := range h.trail.timeline {
		if s.Node == hop.Node && s.Role == hop.Role && (s.Index == index || index == 0) {
			q.TOS, q.Protocol = s.TOS, s.Protocol
			break
		}
	}
	return q
}
