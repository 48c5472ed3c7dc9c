package evidence

import (
	"fmt"
	"strings"
)

// Fate is how a packet ended, in one word.
type Fate string

// The fates.
const (
	Dropped   Fate = "dropped"   // a rule or a chain's policy dropped it, which was seen
	Delivered Fate = "delivered" // the node's input rules let it in; see Packet.Seen
	Waiting   Fate = "waiting"   // it passed the node's rules and did not leave: a neighbour, a queue, a delay
	Taken     Fate = "taken"     // a rule gave it to a program, or to another path
	Ended     Fate = "ended"     // it came to the node, no rule was seen to drop it, and it did not leave
	OnTheLink Fate = "onthelink" // it left the node, and came in nowhere
	Strayed   Fate = "strayed"   // it came in a frame for another host
	Unsent    Fate = "unsent"    // the asker's kernel took it, and it was seen nowhere
	Unwatched Fate = "unwatched" // it left for where nobody watches
)

// Packet is one packet of a probe under watch, followed to its one end: the request, a
// retransmission, a copy, or what came back.
type Packet struct {
	Role Role
	// Copy is true when it was copied from another at the node From: by a rule (dup,
	// TEE), a bridge that floods, multicast, or a program that sent it on.
	Copy bool
	From string
	// Stray is true of a copy that was flooded to a host that it was not for. It is told,
	// and says nothing of the probe.
	Stray bool
	// Fragment is true of one that was followed by itself, as not all of its packet fared alike.
	Fragment bool
	// Way is where interfaces saw it, in order; a copy's begins where it was made.
	Way []Sighting
	// Fate is its end, and Node and Interface are where; Interface may be "".
	Fate            Fate
	Node, Interface string
	// Seen is true when the end was seen, and not only concluded from what was not.
	Seen bool
	// Rule is what dropped or took it; nil without one.
	Rule *Rule
	// Detail is the end in a few words, without Rule and Node.
	Detail string
}

// String is the packet's way and end: request: out at client/lan, in at fw/lan,
// dropped by rule "udp dport 53 drop" of inet filter forward.
func (p Packet) String() string {
	role := p.Role.String()
	if p.Fragment {
		role = "fragment of the " + role
	}
	switch {
	case p.Stray:
		role += " in a frame for another host"
	case p.Copy:
		role += " copied at " + p.From
	}
	var steps []string
	at := ""
	for _, s := range p.Way {
		steps, at = append(steps, fmt.Sprintf("%s at %s/%s", s.Direction, s.Node, s.Interface)), s.Node
	}
	end := p.Detail
	if p.Rule != nil {
		end += " by " + p.Rule.String()
	}
	if at != p.Node && p.Node != "" {
		end += " at " + p.Node
	}
	return role + ": " + strings.Join(append(steps, end), ", ")
}
