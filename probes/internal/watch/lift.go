package watch

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"github.com/google/nftables"
	mdlayher "github.com/mdlayher/netlink"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Lift takes away at a node what a policy that stopped a probe there is made of: the
// rule, the chain's policy, the route, what a bridge's port does. A route or
// forwarding that a router lacks it gives. All nodes of the lab forget their neighbours.
// It is for a lab that is only there to show what would be without it: see
// harness.Lab.Twin. The error is for a cause that is no policy, and for one that cannot
// be lifted.
func Lift(node *harness.Node, c evidence.Cause) error {
	deed, err := verdict.LiftOf(c)
	if err == nil {
		err = do(node, deed)
	}
	if err == nil {
		err = forgetNeighbours(node.Lab())
	}
	if err != nil {
		return fmt.Errorf("lift %s: %w", c.Word(), err)
	}
	return nil
}

func do(node *harness.Node, deed verdict.Deed) error {
	switch deed := deed.(type) {
	case verdict.DeleteRule:
		if isLegacy(deed.Rule) {
			return liftLegacy(node, deed.Rule)
		}
		table := &inspect.Table{Family: deed.Rule.Family, Name: deed.Rule.Table}
		return DeleteRules(node, &inspect.Rule{Chain: &inspect.Chain{Table: table, Name: deed.Rule.Chain}, Handle: deed.Rule.Handle})
	case verdict.AcceptPolicy:
		if isLegacy(deed.Rule) {
			return liftLegacy(node, deed.Rule)
		}
		return liftPolicy(node, deed.Rule)
	case verdict.SetSysctl:
		return node.SetSysctl(deed.Key, deed.Value)
	case verdict.DeleteRoute:
		return liftRoute(node, deed.Route)
	case verdict.GiveRoute:
		return giveRoute(node, deed.To)
	case verdict.DeletePolicyRule:
		return liftPolicyRule(node, deed.Rule)
	case verdict.Unisolate:
		if deed.Switch {
			return node.Port(deed.Interface).SetIsolated(false)
		}
		port, err := node.Netlink().LinkByName(deed.Interface)
		if err != nil {
			return err
		}
		return node.Netlink().LinkSetIsolated(port, false)
	case verdict.Unlock:
		return node.Port(deed.Interface).SetLocked(false)
	case verdict.JoinVLAN:
		return joinVLAN(node, deed)
	case verdict.DeleteFlow:
		return deleteFlow(node, deed)
	case verdict.Flood:
		return node.Port(deed.Interface).SetFlood(true)
	}
	return fmt.Errorf("nobody knows how to do %T", deed)
}

func chainOf(family, table, name string) *nftables.Chain {
	return &nftables.Chain{Table: &nftables.Table{Family: families[family], Name: table}, Name: name}
}

// DeleteRules takes rules away from a node, each known by its handle.
func DeleteRules(node *harness.Node, all ...*inspect.Rule) error {
	return node.Nftables(func(conn *nftables.Conn) error {
		const atOnce = 100 // of which a socket takes the answers
		for some := range slices.Chunk(all, atOnce) {
			for _, r := range some {
				chain := chainOf(r.Chain.Table.Family, r.Chain.Table.Name, r.Chain.Name)
				if err := conn.DelRule(&nftables.Rule{Table: chain.Table, Chain: chain, Handle: r.Handle}); err != nil {
					return err
				}
			}
			if err := conn.Flush(); err != nil {
				return err
			}
		}
		return nil
	})
}

func liftPolicy(node *harness.Node, r *evidence.Rule) error {
	return node.Nftables(func(conn *nftables.Conn) error {
		chain, accept := chainOf(r.Family, r.Table, r.Chain), nftables.ChainPolicyAccept
		chain.Policy = &accept // without hook and priority, which stay
		conn.AddChain(chain)
		return nil
	})
}

func liftRoute(node *harness.Node, lifted *inspect.Route) error {
	routes, err := inspect.NetlinkRoutes(node.Netlink())
	if err != nil {
		return err
	}
	for _, r := range routes {
		if lifted != nil && reflect.DeepEqual(inspect.RouteOf(r), *lifted) {
			return node.Netlink().RouteDel(&r)
		}
	}
	return errors.New("there is no such route")
}

// liftPolicyRule hands the kernel the rule as it told it: the netlink library has no
// words for rules without a table.
func liftPolicyRule(node *harness.Node, lifted *inspect.PolicyRule) error {
	return node.Do(func() error {
		conn, err := mdlayher.Dial(unix.NETLINK_ROUTE, nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Execute(mdlayher.Message{
			Header: mdlayher.Header{Type: unix.RTM_DELRULE, Flags: mdlayher.Request | mdlayher.Acknowledge}, Data: lifted.Raw(),
		})
		return err
	})
}

// giveRoute gives a router the way that it has by the plan's links.
func giveRoute(node *harness.Node, to netip.Addr) error {
	way, ok := node.Lab().Plan().Way(node.Name(), to)
	if !ok {
		return fmt.Errorf("no way leads to %s", to)
	}
	h := node.Netlink()
	port, err := h.LinkByName(way.Dev)
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: port.Attrs().Index, Dst: netlink.NewIPNet(to.AsSlice())}
	if way.Via.IsValid() {
		route.Gw = way.Via.AsSlice()
	}
	return h.RouteReplace(route)
}
