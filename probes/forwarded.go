package probes

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/rules"
)

// mostForwarded bounds at how many other ports a probe is asked of which rules make its own.
const mostForwarded = 256

// forward adds to what is wanted the other ports of which a rule on the way, or at one of the
// ends, makes a probe's own: what is sent there may come to the same service. They do not
// decide.
func (m *IsolationMatcher) forward(q *question, at meetings) error {
	if m.bare != nil || m.leg == evidence.Answer { // without probes they are asked anyhow
		return nil
	}
	for _, w := range slices.Clone(q.wanted) {
		if w.excepted || !w.kind.ports {
			continue
		}
		met, err := at()
		if err != nil {
			return err
		}
		ports, chance, err := otherPortsTo(met, w.Probe)
		if err != nil {
			return err
		}
		for _, port := range ports {
			other := w
			other.port, other.forwarded, other.pairs = port, forwarded{w.port, chance}, nil
			asked := func(of wanted) bool { return of.covers(other.Probe) }
			if slices.ContainsFunc(q.wanted, asked) {
				continue
			}
			for _, p := range w.pairs {
				p.aside = true
				other.pairs = append(other.pairs, p)
			}
			q.wanted = append(q.wanted, other)
		}
	}
	return nil
}

// forwarded is the port that is meant by what is sent to another, and whether that becomes it by
// chance.
type forwarded struct {
	port   uint16
	chance bool
}

// otherPortsTo are the ports of which the rules of nodes may make a probe's, and whether one does
// by chance.
func otherPortsTo(at []meeting, p Probe) (ports []uint16, chance bool, err error) {
	var forwardings []rules.Forwarding
	for _, m := range at {
		ports = append(ports, otherPortsByFlows(m.flows, p)...)
		for _, f := range m.translates.Ports {
			if f.Makes(protocolOf(p), p.port) {
				forwardings, chance = append(forwardings, f), chance || f.Chance
			}
		}
	}
	if len(forwardings) == 0 {
		return ports, false, nil
	}
	var named []rules.Port
	for _, m := range at {
		set, err := rulesetOf(m.node)
		if err != nil {
			return nil, false, err
		}
		named = append(named, rules.Named(set)...)
	}
	ports = append(ports, rules.OtherPorts(forwardings, named, protocolOf(p), p.port)...)
	if len(ports) > mostForwarded {
		return nil, false, fmt.Errorf("%s makes %s of other ports, and rules on the way tell %d of these apart, more than the %d that are asked", forwardings[0].Rule, p, len(ports), mostForwarded)
	}
	return ports, chance, nil
}

// judgeForwarded is judgeAside for another port than is meant: that what is sent there arrives is
// no leak, unless it arrives at the port that is.
func (m *IsolationMatcher) judgeForwarded(f finding) (standing, objection) {
	is, o := m.judgeAside(f)
	if is == holds {
		return is, o
	}
	port, by, known := f.cameToPort()
	meant := f.Probe
	meant.port = f.forwarded.port
	where := fmt.Sprintf("%s at %s", f.To, f.Addr)
	switch {
	case known && port != meant.port && port != f.Probe.port && f.forwarded.chance:
		return unclear, objection{fmt.Sprintf("%s: what is sent to %s there arrives at port %d, and another time it may at %s: %s", where, f.Probe, port, meant, by), "close this way as well"}
	case known && port != meant.port:
		return holds, objection{}
	case known:
		return unclear, objection{fmt.Sprintf("%s: what is sent to %s there arrives at %s: %s", where, f.Probe, meant, by), "close this way as well"}
	}
	return unclear, objection{fmt.Sprintf("%s: what is sent to %s there arrives, and whether at %s is not known: %s", where, f.Probe, meant, by),
		"close this way as well, or take the rule away that makes " + meant.String() + " of other ports"}
}

// cameToPort is the port to which the request was sent when it had come to its end, and which
// rule made it that; false, and why, where that was not seen.
func (f *finding) cameToPort() (port uint16, by string, known bool) {
	if f.watch == nil {
		return 0, "it was not watched", false
	}
	port = f.Probe.port
	for _, hop := range f.Hops() {
		if hop.Role != evidence.Request {
			continue
		}
		for _, passed := range hop.Rules {
			if passed.Has(evidence.Translates) || passed.Has(evidence.Rewrites) || passed.Has(evidence.Takes) {
				by = fmt.Sprintf("%s at %s", passed, hop.Node)
			}
		}
		if hop.Untold != "" {
			by = hop.Untold
		}
		if hop.Left.Destination.Port() != 0 {
			port = hop.Left.Destination.Port()
		}
		known = true
	}
	if by == "" { // a switch's flow
		by = "no rule of a node made it that"
	}
	return port, by, known
}

// meeting is a node whose rules a probe may meet, and what they translate.
type meeting struct {
	node       *harness.Node
	translates rules.Destinations
	flows      []switchFlow // of the switches that nodes are on: the first meeting has them all
}
