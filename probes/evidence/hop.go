package evidence

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness/inspect"
)

// Hop is a probe at one node of its way. It tells of the probe's own packets, not of copies.
type Hop struct {
	// Role is Request on the way there; on the way back Answer, or Refusal.
	Role Role
	// Way numbers the ways of a role, from 1: a retransmission, or a connection's later
	// packets, may go another than the first.
	Way  int
	Node string
	// In and Out are the interfaces that it came in and went out by; "" of what the node itself
	// sent, and of what stayed.
	In, Out string
	// Bridged is true where the node handed it on in layer 2 alone, as a bridge does.
	Bridged bool
	// Came and Left are where it came from and was to go, as it came, or was sent, and as it left.
	Came, Left Tuple
	// Mark is the mark that the node's rules have left on it.
	Mark uint32
	// Rules are those that it met and that matched, and the policies, in order.
	Rules []Passed
	// Route is what led it out, and PolicyRule what led to the route's table: those that lead
	// such a packet out there when the hops are first asked for. Both are nil where that is not
	// known.
	Route      *inspect.Route
	PolicyRule *inspect.PolicyRule
	// Tunnel is true where it left inside another packet. What carried that is not told.
	Tunnel bool
	// Gap is true where it was lost from sight before it was seen here.
	Gap bool
	// Mirrored is true where it left as it had come, by a program or tc: what went on may be a
	// copy, and the packet itself be here still.
	Mirrored bool
	// Fate and Detail are how it ended here; "" where it went on.
	Fate   Fate
	Detail string
	// Untold says why rules may have met it that Rules does not have; "" where it has all.
	Untold string
}

// Tuple is where a packet comes from and goes to. The ports are TCP's and UDP's, and 0
// otherwise.
type Tuple struct{ Source, Destination netip.AddrPort }

// String is 10.0.1.1:40000 -> 10.0.2.1:80, or 10.0.1.1 -> 10.0.2.1 without ports.
func (t Tuple) String() string {
	text := func(end netip.AddrPort) string {
		if end.Port() == 0 {
			return end.Addr().String()
		}
		return end.String()
	}
	return text(t.Source) + " -> " + text(t.Destination)
}

// Effect is what a rule did with a packet.
type Effect string

// The effects.
const (
	Accepts    Effect = "accepted"   // its verdict; of a policy as well
	Drops      Effect = "dropped"    // likewise
	Leads      Effect = "led on"     // to another chain, or back from one
	Takes      Effect = "taken"      // to a program, or on a way of its own
	Marks      Effect = "marked"     // it, or its connection
	Translates Effect = "translated" // its addresses or ports
	Rewrites   Effect = "rewritten"  // another field of it
	Copies     Effect = "copied"
	Counts     Effect = "counted"
	Logs       Effect = "logged"
	Matches    Effect = "matched" // nothing of all this
)

// Passed is a rule, or a chain's policy, that a packet met.
type Passed struct {
	Rule    *Rule
	Effects []Effect
	// Packets is how many of the probe's packets of this way it met.
	Packets int
}

// Has says whether the rule had an effect.
func (p Passed) Has(effect Effect) bool { return slices.Contains(p.Effects, effect) }

// String says what the rule did: marked and accepted by rule "meta mark set 0x1 accept" of
// inet filter forward.
func (p Passed) String() string { return p.says(string(Translates)) }

// says is String with words for a translation.
func (p Passed) says(translated string) string {
	words := make([]string, len(p.Effects))
	for i, effect := range p.Effects {
		if words[i] = string(effect); effect == Translates {
			words[i] = translated
		}
	}
	text := strings.Join(words, "")
	if last := len(words) - 1; last > 0 {
		text = strings.Join(words[:last], ", ") + " and " + words[last]
	}
	if p.Rule.IsPolicy() && p.Has(Accepts) {
		return text + " by policy accept of " + p.Rule.Place()
	}
	return text + " by " + p.Rule.String()
}

// Translated says whether the node gave the packet another source or destination.
func (h Hop) Translated() bool { return h.Came != h.Left }

// String is the hop in one line: request at fw: in at lan, out at wan; accepted by rule "tcp
// dport 80 accept" of inet filter forward; by the route 10.0.2.0/24 at wan.
func (h Hop) String() string {
	parts := append([]string{h.passage()}, h.changes()...)
	if h.Route != nil {
		parts = append(parts, h.route())
	}
	if h.Untold != "" {
		parts = append(parts, "rules may have met it that are not told: "+h.Untold)
	}
	text := h.Role.String()
	if h.Way > 1 {
		text = fmt.Sprintf("%s on way %d", text, h.Way)
	}
	return fmt.Sprintf("%s at %s: %s", text, h.Node, strings.Join(parts, "; "))
}

// passage is how it came and went.
func (h Hop) passage() string {
	var steps []string
	if h.Gap {
		steps = append(steps, "lost from sight before it was seen here")
	}
	if h.In != "" {
		steps = append(steps, "in at "+h.In)
	} else if h.Out != "" && h.Fate == "" {
		steps = append(steps, "sent")
	}
	switch {
	case h.Out != "" && h.Tunnel:
		steps = append(steps, "out at "+h.Out+" inside another packet")
	case h.Out != "":
		steps = append(steps, "out at "+h.Out)
	}
	if h.Mirrored {
		steps = append(steps, "perhaps a mirror's copy")
	}
	if h.Bridged {
		steps = append(steps, "bridged")
	}
	if h.Fate != "" {
		steps = append(steps, h.Detail)
	}
	return strings.Join(steps, ", ")
}

// changes are what rules did, in their order, and how it was translated.
func (h Hop) changes() (parts []string) {
	translation := fmt.Sprintf("translated from %s to %s", h.Came, h.Left)
	told := !h.Translated()
	for _, p := range h.Rules {
		if told || !p.Has(Translates) {
			parts = append(parts, p.String())
			continue
		}
		told = true
		parts = append(parts, p.says(translation))
	}
	if !told {
		parts = append(parts, translation+", as its connection is")
	}
	if h.Mark != 0 {
		parts = append(parts, fmt.Sprintf("with mark %#x", h.Mark))
	}
	return parts
}

// plainRule is the policy routing rule that every namespace has for the main table.
const plainRule = "32766: from all lookup main"

func (h Hop) route() string {
	text := "by the route " + h.Route.To.String()
	if h.Route.To.Bits() == 0 {
		text = "by the default route"
	}
	if h.Route.Via.IsValid() {
		text += " via " + h.Route.Via.String()
	}
	if h.PolicyRule != nil && h.PolicyRule.String() != plainRule {
		text += fmt.Sprintf(" in table %s, to which policy routing rule %q leads", inspect.TableName(h.Route.Table), h.PolicyRule)
	}
	return text
}

// Hops are a probe's on its way, in order: the request's, then those of what came back.
type Hops []Hop

// String is a line for each hop.
func (h Hops) String() string {
	if len(h) == 0 {
		return "no hop is known: the probe was not watched, or was seen nowhere\n"
	}
	var text strings.Builder
	for _, hop := range h {
		text.WriteString(hop.String() + "\n")
	}
	return text.String()
}

// GomegaString is String: Gomega would print every field.
func (h Hops) GomegaString() string { return h.String() }

// Ways are the hops of a role, apart for each way.
func (h Hops) Ways(role Role) (ways []Hops) {
	for _, hop := range h {
		if hop.Role != role {
			continue
		}
		for len(ways) < hop.Way {
			ways = append(ways, nil)
		}
		ways[hop.Way-1] = append(ways[hop.Way-1], hop)
	}
	return ways
}
