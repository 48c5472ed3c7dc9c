package verdict

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

// inQueues says whether the queues of an interface account for a packet's end.
type inQueues func(p spot, c *evidence.Cause, qdiscs []inspect.Qdisc) bool

// atQueues are the stages at which a packet comes to a queue: by account of what is sent itself,
// and by asked of the question for a neighbour, or of the answer to that.
func atQueues(account, asked inQueues) map[stage]func(spot, *evidence.Cause) bool {
	return map[stage]func(spot, *evidence.Cause) bool{
		bridged: account.atBridge,
		leaving: func(p spot, c *evidence.Cause) bool {
			c.Interface = p.link().Name
			return account(p, c, p.state.QdiscsOf(p.link().Index))
		},
		resolving: asked.ofNeighbour,
		onLink:    func(p spot, c *evidence.Cause) bool { return account.onSwitch(p, c, p.sentBy(), p.receivers()) },
	}
}

// atBridge is at the port of a bridge by which a frame is to go on.
func (f inQueues) atBridge(p spot, c *evidence.Cause) bool {
	return slices.ContainsFunc(p.ahead(p.state, p.in(), p.to), func(l inspect.Link) bool {
		moves(c, End{c.Node, l.Name})
		return f(p, c, p.state.QdiscsOf(l.Index))
	})
}

// onSwitch is at the switch's end by which a frame is sent to those it is for.
func (f inQueues) onSwitch(p spot, c *evidence.Cause, sender End, to []peer) bool {
	s, own := p.switchOf(sender)
	return s != nil && slices.ContainsFunc(to, func(peer peer) bool { return f.bySwitch(p, c, s, own.End, s.wired(peer).End) })
}

func (f inQueues) bySwitch(p spot, c *evidence.Cause, s *Switch, from, to End) bool {
	moves(c, to)
	qdiscs, whose := s.queues(from, to)
	if !f(p, c, qdiscs) {
		return false
	}
	c.Switch = s.Name
	c.Detail = fmt.Sprintf("at its port of switch %s, %s%s", s.Name, whose, c.Detail)
	return true
}

// ofNeighbour is of a neighbour who is not asked, or whose answer is not heard.
func (f inQueues) ofNeighbour(p spot, c *evidence.Cause) bool {
	if !p.unresolved() {
		return false
	}
	owners := p.owners()
	if f.onSwitch(p, c, p.askedBy(), owners) {
		return true
	}
	for _, owner := range owners {
		moves(c, owner.End)
		if f(p, c, owner.state.QdiscsOf(owner.link.Index)) {
			c.Detail += ", also its answer to the question for its address"
			return true
		}
	}
	s, own := p.switchOf(p.askedBy())
	return s != nil && slices.ContainsFunc(owners, func(owner peer) bool { return f.bySwitch(p, c, s, s.wired(owner).End, own.End) })
}
