package verdict

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var conflict = row{
	kind: evidence.Conflict, verb: "taken", policy: never, needs: needRules | needAddrs | needRoutes | needPlan,
	mend:       "give each of the two an address of its own",
	at:         map[stage]func(spot, *evidence.Cause) bool{ruled: takenByTwin, leaving: takenAsBroadcast},
	confirmed:  confirmation{otherwise: "the rule was seen to do it, or the kernel's lookup says it, and the node's addresses are read"},
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
	if !takes(p.state, addr) || p.anothers(addr, nodes) {
		return false
	}
	has := "has"
	if _, own := p.state.Addr(addr); !own {
		has = "takes packets to"
	}
	c.Detail = fmt.Sprintf("%s %s %s as well: an address conflict with %s; dropped there by %s", p.seen.Node, has, addr, nodes[0], p.seen.Rule)
	c.Rule, c.Router = nil, false
	return true
}

// takenAsBroadcast says whether a node takes a packet that came in there, for another, by a route of
// type broadcast or anycast.
func takenAsBroadcast(p spot, c *evidence.Cause) bool {
	kinds := map[int]string{unix.RTN_BROADCAST: "broadcast", unix.RTN_ANYCAST: "anycast"}
	addr, nodes := p.meant()
	word, takes := kinds[p.way.Type]
	if !takes || p.seen.Index == 0 || p.seen.Destination != addr || len(nodes) == 0 || slices.Contains(nodes, p.seen.Node) {
		return false
	}
	c.Detail = fmt.Sprintf("%s takes packets to %s by a route of type %s: an address conflict with %s", p.seen.Node, addr, word, nodes[0])
	c.Router = false
	return true
}

// takes says whether a node takes packets for an address: by the address, or by a route of type
// local, in its table local, or the narrowest of its table main.
func takes(state *inspect.State, addr netip.Addr) bool {
	if _, own := state.Addr(addr); own {
		return true
	}
	narrowest := inspect.Route{}
	for _, r := range state.Routes {
		if !r.To.Contains(addr) || r.Table != unix.RT_TABLE_LOCAL && r.Table != unix.RT_TABLE_MAIN {
			continue
		}
		if r.Table == unix.RT_TABLE_LOCAL && r.IsLocal() {
			return true
		}
		if r.Table == unix.RT_TABLE_MAIN && (!narrowest.To.IsValid() || r.To.Bits() > narrowest.To.Bits()) {
			narrowest = r
		}
	}
	return narrowest.IsLocal()
}

// anothers says whether an address is planned for who took the packet, and not for those that it
// was for: rules make another of it, and it is asked for that.
func (p spot) anothers(addr netip.Addr, nodes []string) bool {
	planned := func(node string) bool {
		return slices.ContainsFunc(p.Ports[node], func(port PortState) bool { _, has := port.address(addr); return has })
	}
	has := func(node string) bool {
		state := p.States[node]
		return planned(node) || state != nil && takes(state, addr)
	}
	return planned(p.seen.Node) && !slices.ContainsFunc(nodes, has)
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
