package probes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
)

// passage is what a check says of a request's way: the nodes that it is to go through, and those
// that are to translate it.
type passage struct {
	through    []string
	translated []translation
	wrong      error // the first name that cannot be meant
}

// translation is who is to translate a request, and by which of these rules; none is any.
type translation struct {
	node string
	by   []string
}

// Through has the check hold only where the request has gone through these nodes, in this order:
// each took it in and handed it on, as a router or as a bridge. Others may be in between. It has
// the check watched; a copy's way counts for nothing.
//
//	Expect(client).To(probes.Reach(server, probes.TCP(80)).Through("fw", "inner"))
func (m *ReachMatcher) Through(nodes ...string) *ReachMatcher {
	m = m.here()
	var n named
	addNames(&n, "Reach: Through", &m.passage.through, nodes)
	m.passage.wrong = firstError(m.passage.wrong, n.wrong)
	return m
}

// TranslatedBy has the check hold only where the node gave the request another source or
// destination, and where rules are named, by one of them: what By of BeIsolatedFrom takes. It has the
// check watched.
//
//	Expect(client).To(probes.Reach(fw.On("wan"), probes.TCP(8080)).AnsweredBy("web").TranslatedBy("fw", "dnat to 10.0.2.1:80"))
func (m *ReachMatcher) TranslatedBy(node string, rules ...string) *ReachMatcher {
	m = m.here()
	if node == "" || slices.Contains(rules, "") {
		m.passage.wrong = firstError(m.passage.wrong, fmt.Errorf("Reach: TranslatedBy was given an empty name: name the node, and the rule or none"))
	}
	m.passage.translated = append(m.passage.translated, translation{node, rules})
	return m
}

// asked says whether anything is asked of the way.
func (p *passage) asked() bool { return p.wrong != nil || len(p.through)+len(p.translated) > 0 }

// check is the error of names that could never be meant.
func (p *passage) check(from *harness.Node, target Target) error {
	if p.wrong != nil {
		return p.wrong
	}
	for _, node := range p.through {
		if err := knownNode("Reach: Through", node, from, target); err != nil {
			return err
		}
	}
	for _, t := range p.translated {
		if err := knownNode("Reach: TranslatedBy", t.node, from, target); err != nil {
			return err
		}
	}
	return nil
}

// objection is why a request did not go as it was to, or is not seen to have; "" when it did.
func (p *passage) objection(r Result) string {
	if !p.asked() {
		return ""
	}
	if r.watch == nil {
		return "its way is not known, as it was not watched: ask with Watch"
	}
	ways := r.Hops().Ways(evidence.Request)
	if why := unseen(ways); why != "" {
		return why
	}
	for _, way := range ways {
		if why := p.of(r, way); why != "" {
			return why + "\n" + shown(way)
		}
	}
	return ""
}

// unseen is why the ways of a request are not known; "" when they are.
func unseen(ways []evidence.Hops) string {
	for _, way := range ways {
		last := way[len(way)-1]
		for _, hop := range way {
			if hop.Mirrored {
				return fmt.Sprintf("whether the request itself arrived, or a copy that was made at %s, was not seen:\n%s", hop.Node, shown(way))
			}
		}
		if last.Fate != evidence.Delivered {
			return fmt.Sprintf("the request itself was not seen to arrive: what was answered is a copy of it, or was lost from sight:\n%s", shown(way))
		}
	}
	if len(ways) == 0 {
		return "its request was seen nowhere"
	}
	return ""
}

// of is what is wrong with one way.
func (p *passage) of(r Result, way evidence.Hops) string {
	left := p.through
	for _, hop := range way {
		if len(left) > 0 && hop.In != "" && hop.Out != "" && r.isAt(hop, left[0]) {
			left = left[1:]
		}
	}
	if len(left) > 0 {
		return fmt.Sprintf("the request did not go through %s; it went %s:", strings.Join(p.through, ", then "), nodesOfWay(way))
	}
	for _, t := range p.translated {
		if why := t.objection(r, way); why != "" {
			return why
		}
	}
	return ""
}

// objection is why a request was not translated so on a way.
func (t translation) objection(r Result, way evidence.Hops) string {
	var others []string
	untold := ""
	for _, hop := range way {
		switch {
		case !hop.Translated():
		case !r.isAt(hop, t.node):
			others = append(others, hop.Node)
		case t.isBy(hop):
			return ""
		default:
			untold = hop.Untold
			others = append(others, hop.Node+" by another rule")
		}
	}
	what := "the request was not translated by " + t.node
	if len(t.by) > 0 {
		what += " by " + anyOf(quoted(t.by))
	}
	switch {
	case untold != "":
		return fmt.Sprintf("by which rule %s translated the request is not known: %s", t.node, untold)
	case len(others) == 0:
		return what + ", and by no other node:"
	}
	return what + "; it was by " + allOf(others) + ":"
}

// isBy says whether one of the rules translated, or rewrote, what came to the node.
func (t translation) isBy(hop evidence.Hop) bool {
	return len(t.by) == 0 || slices.ContainsFunc(hop.Rules, func(p evidence.Passed) bool {
		return (p.Has(evidence.Translates) || p.Has(evidence.Rewrites)) && slices.ContainsFunc(t.by, p.Rule.Is)
	})
}

// isAt says whether a hop is at a node of that name.
func (r Result) isAt(hop evidence.Hop, name string) bool {
	node := r.watch.Node(hop.Node)
	return hop.Node == name || node != nil && node.Name() == name
}

// nodesOfWay are the nodes of a way: client -> fw -> server.
func nodesOfWay(way evidence.Hops) string {
	var nodes []string
	for _, hop := range way {
		nodes = append(nodes, hop.Node)
	}
	return strings.Join(nodes, " -> ")
}

// shown are a way's hops below an objection.
func shown(way evidence.Hops) string { return indent(indent(indent(way.String()))) }
