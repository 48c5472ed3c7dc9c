package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

// stage is where on its way a packet ends.
type stage int

const (
	// Nowhere.
	apart stage = iota + 1 // nothing joins its two ends
	// At its source.
	unsent  // nothing was seen to leave
	sourced // it left, with a source that nobody can answer
	// Anywhere.
	ruled // a rule ended it
	// At a node where it came in.
	entered    // at any
	bridged    // at a bridge's port
	handed     // at one that is to hand it on
	delivered  // at one that has its destination
	accepted   // the request, after the node's own doubts: nobody takes it, or wants to
	unanswered // the request, of which a program took note, and the answer had a way
	refused    // the request, of which its destination said that it is not wanted
	// On its way out of a node, its source's too.
	routed    // the lookup of its route failed
	leaving   // it has a route
	resolving // the next one's MAC is not known
	// Between two nodes.
	onLink // it was handed to a driver, and seen nowhere else
)

// names are the stages, for messages of tests and readers.
var names = map[stage]string{
	apart: "apart", unsent: "unsent", sourced: "sourced", ruled: "ruled", entered: "entered", bridged: "bridged", handed: "handed", delivered: "delivered",
	accepted: "accepted", unanswered: "unanswered", refused: "refused", routed: "routed", leaving: "leaving", resolving: "resolving", onLink: "on the link",
}

func (s stage) String() string { return names[s] }

// explain asks the rows of stages, one stage after another, and gives the cause what
// the first that accounts for the packet's end says.
func (p spot) explain(c *evidence.Cause, stages ...stage) bool {
	for _, s := range stages {
		for _, r := range order {
			accounts := r.at[s]
			if accounts == nil {
				continue
			}
			found := *c
			if found.Kind = r.kind; !accounts(p, &found) {
				continue
			}
			if found.Kind != evidence.Unknown {
				found.Verb, found.Policy = r.verb, r.policy(p, found)
				found.Passing = r.passes != nil && r.passes(p, found)
			}
			*c = found
			return true
		}
	}
	return false
}

// out explains what a node cannot do with a packet that it is to send or to hand on,
// by the answer to the lookup of its route.
func (p spot) out(c *evidence.Cause) bool {
	if p.way.Errno != 0 {
		return p.explain(c, routed)
	}
	if p.link().Index == 0 {
		return false // it came or went in between
	}
	if p.explain(c, leaving) {
		return true
	}
	return p.explain(c, resolving)
}

// unroutable is what is known of a lookup that failed, and that no row accounts for.
func (p spot) unroutable() string {
	return fmt.Sprintf("the route lookup of %s says %q", p.to, p.way.Errno.Error())
}

// unresolved says whether the node is asking for the next one's MAC, or gave up. The entry of
// one that it gave up on is forgotten soon, at once where the machine has many (neigh_periodic_work,
// neigh_forced_gc, net/core/neighbour.c): then its word for it is what is left, or that it was
// seen to ask, for what waited went with the entry.
func (p spot) unresolved() bool {
	state := p.state.Neighbour(p.way.Out, p.next())
	asked := p.Awaited == End{Node: p.state.Name, Interface: p.link().Name}
	forgot := state == 0 && p.link().Flags&(unix.IFF_NOARP|unix.IFF_LOOPBACK) == 0 && !p.state.Legacy && (asked || p.reachedNoHost())
	return state&(unix.NUD_INCOMPLETE|unix.NUD_FAILED) != 0 || forgot
}
