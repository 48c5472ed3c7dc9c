package evidence

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/nstest/nstest/harness"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Lift takes away at a node what a policy that stopped a probe there is made of: the
// rule, the chain's policy, the route, the isolation of the port. A route or
// forwarding that a router lacks it gives. It is for a lab that is only there to show
// what would be without it: see harness.Lab.Twin. The error is for a cause that is no
// policy, and for one that cannot be lifted.
func Lift(node *harness.Node, c Cause) error {
	var err error
	switch {
	case !c.Policy():
		err = errors.New("it is no policy")
	case c.Rule != nil && strings.HasSuffix(c.Rule.Family, "-legacy"):
		err = fmt.Errorf("rules of %s are not lifted", c.Rule.Family)
	case c.Rule != nil && c.Rule.IsPolicy():
		err = liftPolicy(node, c.Rule)
	case c.Rule != nil:
		err = liftRule(node, c.Rule)
	case c.Kind == NoForward:
		err = node.SetSysctl(c.sysctl, "1")
	case c.Kind == NoRoute:
		err = giveRoute(node, c)
	case c.Kind == PortIsolated:
		var port netlink.Link
		if port, err = node.Netlink().LinkByName(c.Interface); err == nil {
			err = node.Netlink().LinkSetIsolated(port, false)
		}
	default:
		err = liftRoute(node, c.route)
	}
	if err != nil {
		return fmt.Errorf("lift %s: %w", c.Word(), err)
	}
	return nil
}

func (r *Rule) chain() *nftables.Chain {
	return &nftables.Chain{Table: &nftables.Table{Family: families[r.Family], Name: r.Table}, Name: r.Chain}
}

func liftRule(node *harness.Node, r *Rule) error {
	return node.Nftables(func(conn *nftables.Conn) error {
		chain := r.chain()
		return conn.DelRule(&nftables.Rule{Table: chain.Table, Chain: chain, Handle: r.Handle})
	})
}

func liftPolicy(node *harness.Node, r *Rule) error {
	return node.Nftables(func(conn *nftables.Conn) error {
		chain, accept := r.chain(), nftables.ChainPolicyAccept
		chain.Policy = &accept // without hook and priority, which stay
		conn.AddChain(chain)
		return nil
	})
}

func liftRoute(node *harness.Node, lifted RouteState) error {
	h := node.Netlink()
	routes, err := h.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if lifted.To.IsValid() && routeState(r) == lifted {
			return h.RouteDel(&r)
		}
	}
	return errors.New("there is no such route")
}

// giveRoute gives a router the way that it has by the plan's links.
func giveRoute(node *harness.Node, c Cause) error {
	way, ok := node.Lab().Plan().Way(node.Name(), c.to)
	if !ok {
		return fmt.Errorf("no way leads to %s", c.to)
	}
	h := node.Netlink()
	port, err := h.LinkByName(way.Dev)
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: port.Attrs().Index, Dst: netlink.NewIPNet(c.to.AsSlice())}
	if way.Via.IsValid() {
		route.Gw = way.Via.AsSlice()
	}
	return h.RouteReplace(route)
}
