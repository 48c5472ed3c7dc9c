package verdict

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

var lost = row{
	kind: evidence.Lost, verb: "lost", policy: never, passes: func(_ spot, c evidence.Cause) bool { return c.Chance }, needs: needPackets | needLookups | needLinks,
	mend: "take the loss away (Port.Impair), or ask as often as it takes",
	at: map[stage]func(spot, *evidence.Cause) bool{
		bridged: lostByABridge,
		leaving: func(p spot, c *evidence.Cause) bool {
			c.Interface = p.link().Name
			return p.lost(c, p.state.QdiscsOf(p.link().Index))
		},
		resolving: unanswerable,
		onLink:    func(p spot, c *evidence.Cause) bool { return p.lostOnSwitch(c, p.sentBy(), p.receivers()) },
	},
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

// lostByABridge is at the port of a bridge by which a frame is to go on.
func lostByABridge(p spot, c *evidence.Cause) bool {
	for _, l := range p.ahead(p.state, p.in(), p.to) {
		moves(c, End{c.Node, l.Name})
		if p.lost(c, p.state.QdiscsOf(l.Index)) {
			return true
		}
	}
	return false
}

// lostOnSwitch is at the switch's end by which a frame is sent to those it is for.
func (p spot) lostOnSwitch(c *evidence.Cause, sender End, to []peer) bool {
	s, _ := p.switchOf(sender)
	if s == nil {
		return false
	}
	for _, peer := range to {
		if p.lostBySwitch(c, s, s.wired(peer).End) {
			return true
		}
	}
	return false
}

func (p spot) lostBySwitch(c *evidence.Cause, s *Switch, end End) bool {
	moves(c, end)
	if !p.lost(c, s.Qdiscs[end]) {
		return false
	}
	c.Switch = s.Name
	c.Detail = fmt.Sprintf("at its port of switch %s, %s", s.Name, c.Detail)
	return true
}

// unanswerable is a neighbour who is not asked, or whose answer is not heard: all of it is lost.
func unanswerable(p spot, c *evidence.Cause) bool {
	if p.Heard.Chance || !p.unresolved() {
		return false
	}
	owners := p.owners()
	if p.lostOnSwitch(c, p.askedBy(), owners) {
		return true
	}
	for _, owner := range owners {
		moves(c, owner.End)
		if p.lost(c, owner.state.QdiscsOf(owner.link.Index)) {
			c.Detail += ", also its answer to the question for its address"
			return true
		}
	}
	s, own := p.switchOf(p.askedBy())
	return s != nil && len(owners) > 0 && p.lostBySwitch(c, s, own.End)
}
