package evidence

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness/inspect"
)

// Cause is the one sentence that a timeline and the kernel's state add up to.
type Cause struct {
	Kind Kind
	// Verb is what became of the packet, as the sentence has it: "dropped".
	Verb string
	// Policy is true where somebody wants it so: a rule, a chain's policy, a
	// blackhole, unreachable or prohibit route or policy routing rule, an isolated or locked
	// port or its VLAN, no path; and forwarding or a route whose absence was declared (topo's
	// NoForward and NoRoutes), or that was taken away through the lab (harness's
	// SetSysctl and DelRoute). All else looks like a mistake.
	Policy bool
	// Passing is true of what may be over by itself: a neighbour that was not given up
	// yet, a queue that is full, an address that is not settled.
	Passing bool
	// Chance is true of what was lost by chance: another try may pass.
	Chance bool
	// Node is where it happened; Interface is where at it, if at one.
	Node, Interface string
	// Leg is Request when the probe did not arrive, Answer when its answer did not.
	Leg Role
	// Connected is true where a connection was made before: the Leg is of what was sent
	// over it, or came back.
	Connected bool
	// Rule is the rule or policy of Drop and Reject; nil otherwise.
	Rule *Rule
	// Switch is the segment whose switch did it, at its port for that interface; "" where it
	// was the node itself.
	Switch string
	// Flow is that of an Open vSwitch, of FlowDrop; nil otherwise.
	Flow *Flow
	// VLAN is the one that the port would have to be in for the packet to pass, of PortVLAN, 0 where
	// none would do; Tagged says that it is for frames with a tag.
	VLAN   int
	Tagged bool
	// Discovery is what the Rule dropped at the Node, where that is not the packet itself but
	// what it waits for: then the rule is no Policy. It is nil otherwise.
	Discovery *Discovery
	// Carrier is what carries the packet through a tunnel, of Tunnel, Neighbour and NoHandshake
	// where it may have been lost below; nil otherwise.
	Carrier *Carrier
	// Router is true when the node had the packet to hand on: not its source, nor
	// where it was to go.
	Router bool
	// Detail is what accounts for it: a route, a sysctl, a link's state.
	Detail string

	// MTU is what the link or the route takes, of MTU, in bytes; 0 where that is not known.
	MTU int
	// Sysctl is the one that keeps the node from forwarding, of NoForward:
	// net/ipv4/ip_forward.
	Sysctl string
	// Route is that of Blackhole, Unreachable and Prohibit, and PolicyRule what led to
	// its table. Without a route the rule itself says so. Both are nil otherwise.
	Route      *inspect.Route
	PolicyRule *inspect.PolicyRule
	// To is where the packet was to go, of these and NoRoute.
	To netip.Addr
}

// Is says whether name means what stopped it: see Rule.Is. Of what is no rule it is
// what is printed (Detail, Word, Kind), and, white space aside, the route ("blackhole
// route 10.9.0.0/16", "blackhole 10.9.0.0/16"), the policy routing rule ("1000: from all
// prohibit"), or the sysctl ("net.ipv4.ip_forward").
func (c Cause) Is(given string) bool {
	name := words(given)
	switch {
	case name == "":
		return false
	case c.Rule != nil:
		return c.Rule.Is(given)
	case c.Flow != nil && c.Flow.Is(given):
		return true
	}
	own := []string{words(c.Detail), c.Word(), string(c.Kind)}
	if c.Route != nil {
		own = append(own, fmt.Sprintf("%s route %s", c.Kind, c.Route.To), fmt.Sprintf("%s %s", c.Kind, c.Route.To))
	}
	if c.PolicyRule != nil {
		own = append(own, c.PolicyRule.String(), "policy routing rule "+c.PolicyRule.String())
	}
	if c.Sysctl != "" {
		own = append(own, strings.ReplaceAll(c.Sysctl, "/", "."), c.Sysctl)
	}
	return slices.Contains(own, name)
}

// Word is the cause as a matrix has it: drop@fw, or neighbour:drop@fw of its Discovery.
func (c Cause) Word() string {
	if c.Discovery != nil {
		return fmt.Sprintf("%s:%s@%s", Neighbour, c.Kind, c.Node)
	}
	if c.Node == "" {
		return string(c.Kind)
	}
	return fmt.Sprintf("%s@%s", c.Kind, c.Node)
}

// String is the sentence.
func (c Cause) String() string {
	what := "the request"
	if c.Leg == Answer {
		what = "the request arrived; the answer"
	}
	if c.Connected {
		what = "the connection was made; what was sent over it"
		if c.Leg == Answer {
			what = "the connection was made; what came back over it"
		}
	}
	if c.Kind == Unknown || c.Kind == "" {
		if c.Node == "" {
			return "inconclusive: " + c.Detail
		}
		return fmt.Sprintf("inconclusive: %s was last seen at %s: %s", what, c.place(), c.Detail)
	}
	if c.Discovery != nil {
		return fmt.Sprintf("%s was %s at %s: %s at %s by %s", what, c.Verb, c.Discovery.place(), c.Detail, c.Node, c.Rule)
	}
	text := fmt.Sprintf("%s was %s", what, c.Verb)
	if c.Node != "" {
		text += " at " + c.place()
	}
	switch {
	case c.Rule != nil && c.Detail != "":
		text += " by " + c.Rule.String() + ": " + c.Detail
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
