package verdict

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var blackhole = row{
	kind: evidence.Blackhole, verb: "dropped", policy: always, needs: needPackets | needRoutes | needLookups,
	at: map[stage]func(spot, *evidence.Cause) bool{
		routed: func(p spot, c *evidence.Cause) bool {
			return p.closed(c, unix.RTN_BLACKHOLE, unix.FR_ACT_BLACKHOLE, "blackhole")
		},
	},
	confirmed: confirmation{otherwise: "Ip.InReceives moves, and neither Ip.ForwDatagrams nor Ip.InDelivers"},
	lift:      liftWay,
}

// closed says whether a route of a type, in the table that the lookup came to, or a
// policy routing rule with such an action, is why the lookup ended with its error.
func (p spot) closed(c *evidence.Cause, routeType, action int, name string) bool {
	d, ok := p.decided()
	switch {
	case !ok || d.Errno() != p.way.Errno:
		return false
	case d.Route == nil && d.Rule.Action == action:
		c.Detail = "policy routing rule " + d.Rule.String()
	case d.Route != nil && d.Route.Type == routeType:
		c.Detail = fmt.Sprintf("%s route %s", name, d.Route.To)
		if d.Route.Table != unix.RT_TABLE_MAIN {
			c.Detail += fmt.Sprintf(" in table %d, by policy routing rule %s", d.Route.Table, d.Rule)
		}
	default:
		return false
	}
	c.Route, c.PolicyRule, c.To = d.Route, d.Rule, p.to
	return true
}

// decided is what the lookup came to, by the node's policy routing rules and routes and others.
func (p spot) decided(others ...inspect.Route) (inspect.Decision, bool) {
	asked := p.asked
	if !asked.From.IsValid() && asked.Connects {
		asked.From = p.way.From
	}
	state := *p.state
	state.Routes = append(slices.Clip(state.Routes), others...)
	return state.Decide(asked)
}

// liftWay deletes the route, or the policy routing rule that needs none.
func liftWay(c evidence.Cause) Deed {
	if c.Route == nil && c.PolicyRule != nil {
		return DeletePolicyRule{c.PolicyRule}
	}
	return DeleteRoute{c.Route}
}
