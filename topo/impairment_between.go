package topo

import "slices"

// impairedPair is what was chosen to happen between two nodes of a switch, or to what comes to a
// port from one.
type impairedPair struct {
	one, other string
	Impairment
}

func (p impairedPair) is(a, b string) bool {
	return p.one == a && p.other == b || p.one == b && p.other == a
}

// ImpairBetween has this happen to what two nodes of a switch send each other, each way, and to
// nothing else there: frames that come in by the one's port and leave by the other's, whosever MACs and
// addresses they have, a broadcast's copy too. Where the receiver's port has an impairment for
// all that comes (Port.ImpairReceived), this is instead of that; what the sender's port has of all that it
// sends (Impair) happens as well, before.
//
//	lan := office.Switch("lan", "10.0.1.0/24").ImpairBetween("london", "tokyo", topo.Impairment{Delay: 120 * time.Millisecond})
//
// A kernel of 2025 or later refuses to have some of what comes to a node twice (Duplicate) where another has
// netem as well of what it sends there.
//
// For one way alone see Port.ImpairReceivedFrom, which also comes before what is chosen here.
func (s *Segment) ImpairBetween(a, b string, i Impairment) *Segment {
	if s != nil {
		s.between = paired(s.between, impairedPair{a, b, i})
	}
	return s
}

// ImpairReceivedFrom has this happen to what comes to the node there from that node's port of the
// switch, instead of what happens to all that comes (ImpairReceived): see Segment.ImpairBetween.
func (p Port) ImpairReceivedFrom(node string, i Impairment) Port {
	p.receivesFrom = paired(p.receivesFrom, impairedPair{one: node, Impairment: i})
	return p
}

// paired are pairs with one more, in the place of an earlier of the same two; those given stay as they are.
func paired(pairs []impairedPair, pair impairedPair) []impairedPair {
	pairs = slices.DeleteFunc(slices.Clone(pairs), func(other impairedPair) bool { return other.is(pair.one, pair.other) })
	return append(pairs, pair)
}

// withoutPairs forgets what was chosen of a node that is taken away.
func (n *Network) withoutPairs(node string) {
	of := func(pair impairedPair) bool { return pair.one == node || pair.other == node }
	for _, s := range n.segments {
		s.between = slices.DeleteFunc(slices.Clone(s.between), of)
	}
	for _, other := range n.nodes {
		for j := range other.ports {
			other.ports[j].receivesFrom = slices.DeleteFunc(slices.Clone(other.ports[j].receivesFrom), of)
		}
	}
}

// PairPlan is what happens to what comes to a port from another of the same switch.
type PairPlan struct {
	Node, Port string // that it comes from
	Impairment
}

// From is what happens to what comes to the port from another of its switch: what was chosen of
// those two, or else of all that comes.
func (p *PortPlan) From(node, port string) Impairment {
	if p == nil {
		return Impairment{}
	}
	for _, pair := range p.ReceivesFrom {
		if pair.Node == node && pair.Port == port {
			return pair.Impairment
		}
	}
	return p.Receives
}

// SetFrom chooses what happens to what comes to the port from another of its switch. A copy of the plan
// that was made before has what it had.
func (p *PortPlan) SetFrom(node, port string, i Impairment) {
	if p == nil {
		return
	}
	p.ReceivesFrom = slices.DeleteFunc(slices.Clone(p.ReceivesFrom), func(other PairPlan) bool { return other.Node == node && other.Port == port })
	p.ReceivesFrom = append(p.ReceivesFrom, PairPlan{node, port, i})
}

// pairs is what the plan's text has of them.
func (p *PortPlan) pairs() (text string) {
	for _, pair := range p.ReceivesFrom {
		from, does := pair.Node, pair.String()
		if pair.Port != p.Name {
			from += "/" + pair.Port
		}
		if does == "" {
			does = "nothing happens"
		}
		text += " [receives from " + from + ": " + does + "]"
	}
	return text
}

// planPairs plans what happens between two nodes, first as segments have it.
func (p *planner) planPairs() {
	for on, s := range p.network.segments {
		for _, pair := range s.between {
			where := "segment " + shown(s.name) + ": impaired between " + shown(pair.one) + " and " + shown(pair.other)
			if !p.wrongPair(where, on, pair.one, pair.other) {
				p.checkImpairment(where, pair.Impairment)
				p.pair(p.endsOfNode(on, pair.one), p.endsOfNode(on, pair.other), pair.Impairment)
				p.pair(p.endsOfNode(on, pair.other), p.endsOfNode(on, pair.one), pair.Impairment)
			}
		}
	}
	p.eachKnownPort(func(at end, port *Port) {
		for _, pair := range port.receivesFrom {
			where, on := p.place(at)+": receives from "+shown(pair.one), p.segments[port.segment]
			if !p.wrongPair(where, on, pair.one, p.network.nodes[at.node].name) {
				p.checkImpairment(where, pair.Impairment)
				p.pair(p.endsOfNode(on, pair.one), []end{at}, pair.Impairment)
			}
		}
	})
}

func (p *planner) pair(from, to []end, i Impairment) {
	for _, at := range to {
		for _, sender := range from {
			plan := &p.plan.Nodes[sender.node]
			p.plan.Nodes[at.node].Ports[at.port].SetFrom(plan.Name, plan.Ports[sender.port].Name, i)
		}
	}
}

// endsOfNode are a node's ports on a segment.
func (p *planner) endsOfNode(on int, node string) (ends []end) {
	for _, at := range p.ends[on] {
		if p.network.nodes[at.node].name == node {
			ends = append(ends, at)
		}
	}
	return ends
}

// wrongPair says what is wrong with two nodes as a pair of a segment.
func (p *planner) wrongPair(where string, on int, one, other string) bool {
	before := len(p.mistakes)
	switch segment := &p.plan.Segments[on]; {
	case segment.Kind == KindWire:
		p.wrong("%s: a wire joins two alone: choose what happens to all that they send (Impair)", where)
	case segment.Kind == KindOVS:
		p.wrong("%s: it is an Open vSwitch, which queues by itself: make it a switch, or choose what happens where it is sent (Port.Impair)", where)
	case segment.Kind != KindSwitch:
		p.wrong("%s: it is a %s, whose frames pass no switch of its own: choose it of the switch that they pass", where, segment.Kind)
	case one == other:
		p.wrong("%s: that is one node: name two", where)
	default:
		for _, name := range []string{one, other} {
			if len(p.endsOfNode(on, name)) == 0 {
				p.wrong("%s: node %s has no port there%s", where, shown(name), p.haveOne(on))
			}
		}
	}
	return len(p.mistakes) > before
}

func (p *planner) haveOne(on int) string {
	if nodes := nodesOf(&p.plan.Segments[on]); nodes != "" {
		return ": name one that has" + nodes
	}
	return ", nor has any other: attach them"
}
