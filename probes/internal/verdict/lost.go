package verdict

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

var lost = row{
	kind: evidence.Lost, verb: "lost", policy: never, passes: func(_ spot, c evidence.Cause) bool { return c.Chance }, needs: needPackets | needLookups | needLinks,
	mend:       "take the loss away (Port.Impair), or ask as often as it takes",
	at:         atQueues(spot.lost, spot.lostQuestion),
	confirmed:  confirmation{otherwise: "the queueing discipline says what it loses, and its own count of drops moves"},
	unliftable: "a loss is no policy",
}

// lost says whether netem loses what is sent by one of an interface's: all, or by chance, where
// nothing else accounts for it, or it was seen to.
func (p spot) lost(c *evidence.Cause, qdiscs []inspect.Qdisc) bool {
	at := slices.IndexFunc(qdiscs, func(q inspect.Qdisc) bool { return q.Loss > 0 })
	if at < 0 {
		return false
	}
	q := qdiscs[at]
	c.Chance = q.Loss < 1
	if !c.Chance {
		c.Detail = fmt.Sprintf("netem loses all that is to leave there (loss 100 %%, %d so far)", q.Drops)
		return true
	}
	c.Detail = fmt.Sprintf("by chance: %s, %d so far; ask again", q, q.Drops)
	return p.Heard.Chance || p.Heard.Queue == End{c.Node, c.Interface} && p.Heard.QueueKind == q.Kind
}

// lostQuestion is lost of a question for a neighbour, which is asked again: a chance does not
// account for it.
func (p spot) lostQuestion(c *evidence.Cause, qdiscs []inspect.Qdisc) bool {
	return !p.Heard.Chance && p.lost(c, qdiscs)
}
