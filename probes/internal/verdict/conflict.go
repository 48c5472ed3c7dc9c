package verdict

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/probes/evidence"
)

var conflict = row{
	kind: evidence.Conflict, verb: "taken", policy: never, needs: needRules | needAddrs | needPlan,
	mend:       "give each of the two an address of its own",
	at:         map[stage]func(spot, *evidence.Cause) bool{ruled: takenByTwin},
	confirmed:  confirmation{otherwise: "the rule was seen to do it, and the node's addresses are read"},
	unliftable: "an address that two nodes have is no policy",
}

// takenByTwin says whether a rule ended a packet at another node than the one that it was
// for, which has the address as well: what that node keeps from itself says nothing of
// the other.
func takenByTwin(p spot, c *evidence.Cause) bool {
	addr, nodes := p.meant()
	if p.state == nil || p.seen.Destination != addr || len(nodes) == 0 || slices.Contains(nodes, p.seen.Node) {
		return false
	}
	if _, own := p.state.Addr(addr); !own {
		return false
	}
	c.Detail = fmt.Sprintf("%s has %s as well: an address conflict with %s; dropped there by %s", p.seen.Node, addr, nodes[0], p.seen.Rule)
	c.Rule, c.Router = nil, false
	return true
}

// meant is the address that the leg's packet was to go to, and the nodes that it was for.
func (p spot) meant() (addr netip.Addr, nodes []string) {
	if p.leg == evidence.Answer {
		first, _ := p.Timeline.First(evidence.Request, evidence.Out)
		return first.Source, []string{p.Flow.From}
	}
	addr = p.Flow.Addr.WithZone("")
	if p.Flow.To != "" {
		return addr, []string{p.Flow.To}
	}
	for label, ports := range p.Ports {
		if slices.ContainsFunc(ports, func(port PortState) bool { _, has := port.address(addr); return has }) {
			nodes = append(nodes, label)
		}
	}
	slices.Sort(nodes)
	return addr, nodes
}
