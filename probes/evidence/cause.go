package evidence

import (
	"fmt"
	"net/netip"
)

// Kind is what stopped a packet, in one word, as a matrix has it: drop@fw.
type Kind string

// The kinds of cause. The first are policies: somebody wants it so. The others
// are what a test that is set up wrongly meets as well.
const (
	Drop         Kind = "drop"        // a rule or a chain's policy dropped it
	Reject       Kind = "reject"      // a rule dropped it and said so
	Blackhole    Kind = "blackhole"   // a blackhole route
	Unreachable  Kind = "unreachable" // an unreachable route
	Prohibit     Kind = "prohibit"    // a prohibit route
	NoForward    Kind = "noforward"   // forwarding is off
	NoRoute      Kind = "noroute"     // no route leads there; a policy at a router only
	PortIsolated Kind = "isolated"    // two isolated ports of a bridge

	LinkDown   Kind = "linkdown"   // an interface is down
	NoCarrier  Kind = "nocarrier"  // the other end of a link is down
	Tentative  Kind = "tentative"  // an IPv6 address that is not settled
	NoAddress  Kind = "noaddress"  // nobody has the address
	Neighbour  Kind = "neighbour"  // nobody answers for the address on the link
	MTU        Kind = "mtu"        // the packet is too large
	TTL        Kind = "ttl"        // the time to live was over
	RPFilter   Kind = "rpfilter"   // the source may not come in there
	NoListener Kind = "nolistener" // nobody has the port
	Backlog    Kind = "backlog"    // the listener's queue is full
	Ignored    Kind = "ignored"    // echo requests are ignored
	WrongMAC   Kind = "wrongmac"   // sent to a MAC that nobody on the link has
	Martian    Kind = "martian"    // a source that nobody outside may have
	Unknown    Kind = "unknown"    // what was seen does not account for it
)

// Cause is the one sentence that a timeline and the kernel's state add up to.
type Cause struct {
	Kind Kind
	// Node is where it happened; Interface is where at it, if at one.
	Node, Interface string
	// Leg is Request when the probe did not arrive, Answer when its answer did not.
	Leg Role
	// Rule is the rule or policy of Drop and Reject; nil otherwise.
	Rule *Rule
	// Router is true when the node had the packet to hand on: not its source, nor
	// where it was to go.
	Router bool
	// Detail is what accounts for it: a route, a sysctl, a link's state.
	Detail string

	// What Lift needs of a policy that is no rule.
	sysctl string     // of NoForward: net/ipv4/ip_forward
	route  RouteState // of Blackhole, Unreachable and Prohibit
	to     netip.Addr // where it was to go, of these and NoRoute
}

// Policy says whether somebody wants it so: a rule, a chain's policy, a
// blackhole, unreachable or prohibit route, a route or forwarding that a router
// lacks, an isolated port.
func (c Cause) Policy() bool {
	switch c.Kind {
	case Drop, Reject, Blackhole, Unreachable, Prohibit, NoForward, PortIsolated:
		return true
	case NoRoute:
		return c.Router
	}
	return false
}

// Is says whether name means what stopped it: see Rule.Is, or a word of Kind.
func (c Cause) Is(name string) bool {
	if c.Rule != nil {
		return c.Rule.Is(name)
	}
	return name == c.Detail
}

// Word is the cause as a matrix has it: drop@fw.
func (c Cause) Word() string {
	if c.Node == "" {
		return string(c.Kind)
	}
	return fmt.Sprintf("%s@%s", c.Kind, c.Node)
}

var sentences = map[Kind]string{
	Drop: "dropped", Reject: "rejected", Blackhole: "swallowed", Unreachable: "refused", Prohibit: "refused",
	NoForward: "not forwarded", NoRoute: "not routed", PortIsolated: "not bridged", LinkDown: "lost", NoCarrier: "lost",
	Tentative: "not delivered", NoAddress: "not delivered", Neighbour: "not sent on", MTU: "too large", TTL: "ended",
	RPFilter: "not accepted", NoListener: "refused", Backlog: "not accepted", Ignored: "ignored", WrongMAC: "lost",
	Martian: "not accepted",
}

// String is the sentence.
func (c Cause) String() string {
	what := "the request"
	if c.Leg == Answer {
		what = "the request arrived; the answer"
	}
	if c.Kind == Unknown || c.Kind == "" {
		if c.Node == "" {
			return "inconclusive: " + c.Detail
		}
		return fmt.Sprintf("inconclusive: %s was last seen at %s: %s", what, c.place(), c.Detail)
	}
	text := fmt.Sprintf("%s was %s at %s", what, sentences[c.Kind], c.place())
	switch {
	case c.Rule != nil:
		text += " by " + c.Rule.String()
	case c.Detail != "":
		text += ": " + c.Detail
	}
	return text
}

func (c Cause) place() string {
	if c.Interface == "" {
		return c.Node
	}
	return c.Node + "/" + c.Interface
}
