package harness

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routes writes the routes of every table, local ones among them.
func (s *state) routes(w io.Writer) error {
	routes, err := s.in.Routes()
	if whole(err) != nil {
		return err
	}
	for _, r := range routes {
		if _, err := fmt.Fprintln(w, s.routeText(r)); err != nil {
			return err
		}
	}
	return nil
}

var kindsOfRoute = map[int]string{
	unix.RTN_LOCAL: "local ", unix.RTN_BROADCAST: "broadcast ", unix.RTN_ANYCAST: "anycast ", unix.RTN_MULTICAST: "multicast ",
	unix.RTN_BLACKHOLE: "blackhole ", unix.RTN_UNREACHABLE: "unreachable ", unix.RTN_PROHIBIT: "prohibit ", unix.RTN_THROW: "throw ",
}

// routeText is a route as ip prints it.
func (s *state) routeText(r inspect.Route) string {
	text := kindsOfRoute[r.Type] + prefixText(r.To) + s.hopText(r.Via, r.Index)
	if r.Table != unix.RT_TABLE_MAIN {
		text += " table " + inspect.TableName(r.Table)
	}
	text += " proto " + netlink.RouteProtocol(r.Protocol).String()
	if scope := netlink.Scope(r.Scope); scope != netlink.SCOPE_UNIVERSE {
		text += " scope " + scope.String()
	}
	if r.Source.IsValid() {
		text += " src " + r.Source.String()
	}
	if r.Metric != 0 {
		text += fmt.Sprint(" metric ", r.Metric)
	}
	if r.MTU != 0 {
		text += fmt.Sprint(" mtu ", r.MTU)
	}
	text += hopFlags(r.Flags)
	for _, hop := range r.Hops {
		text += fmt.Sprintf("\n    nexthop%s weight %d%s", s.hopText(hop.Via, hop.Index), hop.Weight, hopFlags(hop.Flags))
	}
	return text
}

// hopText is where a route leads.
func (s *state) hopText(via netip.Addr, index int) string {
	var text string
	if via.IsValid() {
		text = " via " + via.String()
	}
	if index != 0 {
		text += " dev " + s.name(index)
	}
	return text
}

func hopFlags(flags int) string {
	set := flagNames(uint32(flags), []flagName{{unix.RTNH_F_ONLINK, " onlink"}, {unix.RTNH_F_DEAD, " dead"}, {unix.RTNH_F_LINKDOWN, " linkdown"}})
	return strings.Join(set, "")
}

// prefixText is a prefix; a single address has no length, and the widest is the
// default.
func prefixText(prefix netip.Prefix) string {
	switch {
	case !prefix.IsValid() || prefix.Bits() == 0:
		return "default"
	case prefix.IsSingleIP():
		return prefix.Addr().String()
	}
	return prefix.String()
}

// rules writes the rules that choose a routing table.
func (s *state) rules(w io.Writer) error {
	rules, err := s.in.PolicyRules()
	for _, r := range rules {
		fmt.Fprintf(w, "inet%s %s\n", map[bool]string{true: "6"}[r.V6], &r)
	}
	return err
}

// neighbours writes what the node remembers of the others on its links, and what a
// bridge has learnt.
func (s *state) neighbours(w io.Writer) error {
	neighbours, err := s.in.Neighbours()
	if whole(err) != nil {
		return err
	}
	for _, n := range neighbours {
		if n.State&netlink.NUD_NOARP == 0 { // those without a link to ask on go by themselves
			fmt.Fprintf(w, "%s dev %s link %s %s%s\n", n.Addr, s.name(n.Index), orDash(n.At()), neighbourState(n.State),
				strings.Join(flagNames(uint32(n.Flags), []flagName{{netlink.NTF_ROUTER, " router"}, {netlink.NTF_PROXY, " proxy"}}), ""))
		}
	}
	learnt, err := s.in.Learnt()
	for _, l := range learnt {
		fmt.Fprintf(w, "%s dev %s %s\n", l.MAC, s.name(l.Index), neighbourState(l.State))
	}
	return whole(err)
}

func neighbourState(state int) string {
	set := flagNames(uint32(state), []flagName{
		{netlink.NUD_INCOMPLETE, "INCOMPLETE"}, {netlink.NUD_REACHABLE, "REACHABLE"}, {netlink.NUD_STALE, "STALE"}, {netlink.NUD_DELAY, "DELAY"},
		{netlink.NUD_PROBE, "PROBE"}, {netlink.NUD_FAILED, "FAILED"}, {netlink.NUD_NOARP, "NOARP"}, {netlink.NUD_PERMANENT, "PERMANENT"},
	})
	if len(set) == 0 {
		return "NONE"
	}
	return strings.Join(set, ",")
}
