package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
)

// Queued is a packet that a rule gave to a queue (NFQUEUE), which did not come back from there.
type Queued struct {
	Node string
	Role evidence.Role
	Rule *evidence.Rule
	// Number is the queue's; -1 where the rule has several.
	Number int
	// Read is true where a program reads the queue, or that is not known.
	Read bool
}

var noReader = row{
	kind: evidence.NoReader, verb: "dropped", policy: never, needs: needRules,
	mend: "start the program that reads the queue, or have the rule pass what nobody reads (queue bypass)",
	at: map[stage]func(spot, *evidence.Cause) bool{
		unsent:     func(p spot, c *evidence.Cause) bool { return p.unread(evidence.Request, c) },
		entered:    func(p spot, c *evidence.Cause) bool { return p.unread(p.leg, c) },
		unanswered: func(p spot, c *evidence.Cause) bool { return p.unread(evidence.Answer, c) },
	},
	confirmed:  confirmation{otherwise: "the rule was seen to do it, and the kernel lists no reader (nfnetlink_queue)"},
	unliftable: "a queue that nobody reads is no policy",
}

// unread says whether a rule of the node gave the packet to a queue, and did not get it back.
// What a program that reads it did is in doubt.
func (p spot) unread(leg evidence.Role, c *evidence.Cause) bool {
	for _, q := range p.Queued {
		if q.Node != p.state.Name || q.Role != leg {
			continue
		}
		queue := fmt.Sprintf("queue %d", q.Number)
		if q.Number < 0 {
			queue = "one of several queues"
		}
		c.Leg, c.Interface = leg, ""
		c.Detail = fmt.Sprintf("%s gives it to %s, which no program reads", q.Rule, queue)
		if q.Read {
			c.Kind = evidence.Unknown
			c.Detail = fmt.Sprintf("%s gave it to %s; what the program did with it that reads there is not known", q.Rule, queue)
		}
		return true
	}
	return false
}
