package account

import "time"

// Account is what became of a probe's packets.
type Account struct {
	// Packets are the probe's: what was sent, what was copied from it, what came back.
	Packets []Packet
	// Lost is Input.Lost: nothing is closed when something was lost.
	Lost string

	in    Input
	books [Undone + 1]map[string]count // of packets that passed a node's rules, and left
}

// Packet is one packet on its way from where it was sent, or copied, to its end.
type Packet struct {
	Role Role
	// Copy is true when it was copied from another, at the node From: by a rule (dup,
	// TEE), a bridge that floods, multicast, or a program that sent it on.
	Copy bool
	From string
	// Stray is true of a copy that a switch flooded to a node that it was not for. It is
	// told, and counts for nothing.
	Stray bool
	// Gap is true when it was lost from sight on its way and seen again: what happened
	// between is not known. So is what left a node as it had come, with the time to live that
	// it had: it may be a mirror's, and the packet itself be there still.
	Gap bool
	// Relayed is the last node of its way where something else than the kernel's
	// forwarding sent it on: a program, or tc. It may send it once more. "" is none.
	Relayed string
	// Way are the places that it was seen at.
	Way []Place
	// Stops are where it was on its way, in order, where the account is Detailed; a copy's
	// begin after the station that made it.
	Stops []Stop
	End   End
}

// Piece is that of a fragment which was followed by itself, as not all fared alike; the zero Piece is a
// whole packet's.
func (p Packet) Piece() Piece {
	for _, place := range p.Way {
		if place.Piece.is() {
			return place.Piece
		}
	}
	return p.End.Piece
}

// Place is where a packet was seen by a tap, or by rules alone: then Direction is 0.
type Place struct {
	At              time.Time
	Node, Interface string
	Index           int
	Direction       Direction
	Header
}

// Kind is how a packet ended.
type Kind int

// The ends.
const (
	// Unknown is an end that nothing tells of.
	Unknown Kind = iota
	// Dropped: by a rule or a chain's policy, which was seen.
	Dropped
	// Delivered: it came to the node and its input rules let it in, or, where End.Seen is
	// false, nobody saw what became of it there.
	Delivered
	// Waiting: it passed the node's rules and did not leave: a neighbour, a queue, a delay.
	Waiting
	// Taken: a rule gave it away, to a program or another path (End.Took).
	Taken
	// Died: it came to the node, no rule was seen to drop it, and it did not leave. The
	// node's state may tell why.
	Died
	// OnTheLink: it left a node, and came in nowhere.
	OnTheLink
	// Strayed: it came to a node by a frame that was for another, which takes none of it.
	Strayed
	// Unsent: the asker's kernel took it, and nothing saw it.
	Unsent
)

// End is where and how a packet ended.
type End struct {
	Kind            Kind
	Node, Interface string
	Index           int
	// Seen is true when it was seen, and not only concluded from what was not.
	Seen bool
	// Rule is what dropped or took it.
	Rule *Rule
	Took string
	// Hook is the last hook that it came to, 0 where it came to none or the node is
	// not traced; Layer is that hook's.
	Hook  Hook
	Layer Layer
	// Bridge is true when it ended at a bridge inside the node.
	Bridge bool
	// Header is the packet as it was there, In the interface that it came in by, or 0.
	Header
	In int
}
