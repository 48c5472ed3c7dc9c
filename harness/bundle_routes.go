package harness

import (
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var families = []int{netlink.FAMILY_V4, netlink.FAMILY_V6}

// routes writes the routes of every table, local ones among them.
func (s *state) routes(w io.Writer) error {
	for _, family := range families {
		err := s.handle.RouteListFilteredIter(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
			_, err := fmt.Fprintln(w, s.routeText(&r))
			return err == nil
		})
		if whole(err) != nil {
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
func (s *state) routeText(r *netlink.Route) string {
	text := kindsOfRoute[r.Type] + prefixText(r.Dst, "default") + s.hopText(r.Gw, r.Via, r.LinkIndex)
	if r.Table != unix.RT_TABLE_MAIN {
		text += " table " + tableText(r.Table)
	}
	text += " proto " + r.Protocol.String()
	if r.Scope != netlink.SCOPE_UNIVERSE {
		text += " scope " + r.Scope.String()
	}
	if r.Src != nil {
		text += " src " + r.Src.String()
	}
	if r.Priority != 0 {
		text += fmt.Sprint(" metric ", r.Priority)
	}
	if r.MTU != 0 {
		text += fmt.Sprint(" mtu ", r.MTU)
	}
	text += hopFlags(r.Flags)
	for _, hop := range r.MultiPath {
		text += fmt.Sprintf("\n    nexthop%s weight %d%s", s.hopText(hop.Gw, hop.Via, hop.LinkIndex), hop.Hops+1, hopFlags(hop.Flags))
	}
	return text
}

// hopText is where a route leads. It may have a gateway of the other family (Via).
func (s *state) hopText(gateway net.IP, via netlink.Destination, index int) string {
	var text string
	if other, ok := via.(*netlink.Via); ok {
		gateway = other.Addr
	}
	if gateway != nil {
		text = " via " + gateway.String()
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

// prefixText is a prefix; a single address has no length, and the widest is all.
func prefixText(prefix *net.IPNet, all string) string {
	if prefix == nil {
		return all
	}
	switch ones, bits := prefix.Mask.Size(); ones {
	case 0:
		return all
	case bits:
		return prefix.IP.String()
	}
	return prefix.String()
}

func tableText(table int) string {
	switch table {
	case unix.RT_TABLE_LOCAL:
		return "local"
	case unix.RT_TABLE_MAIN:
		return "main"
	case unix.RT_TABLE_DEFAULT:
		return "default"
	}
	return fmt.Sprint(table)
}

// rules writes the rules that choose a routing table.
func (s *state) rules(w io.Writer) error {
	for _, family := range families {
		rules, err := s.handle.RuleList(family)
		if whole(err) != nil {
			return err
		}
		for _, r := range rules {
			fmt.Fprintf(w, "inet%s %s\n", map[int]string{netlink.FAMILY_V6: "6"}[family], ruleText(r))
		}
	}
	return nil
}

func ruleText(r netlink.Rule) string {
	text := fmt.Sprintf("%d: ", r.Priority)
	if r.Invert {
		text += "not "
	}
	text += "from " + prefixText(r.Src, "all")
	if r.Dst != nil {
		text += " to " + prefixText(r.Dst, "all")
	}
	if r.IifName != "" {
		text += " iif " + r.IifName
	}
	if r.OifName != "" {
		text += " oif " + r.OifName
	}
	if r.Mark != 0 || r.Mask != nil {
		text += fmt.Sprintf(" fwmark %#x", r.Mark)
		if r.Mask != nil {
			text += fmt.Sprintf("/%#x", *r.Mask)
		}
	}
	if r.IPProto > 0 {
		text += fmt.Sprint(" ipproto ", r.IPProto)
	}
	if r.Sport != nil {
		text += fmt.Sprintf(" sport %d-%d", r.Sport.Start, r.Sport.End)
	}
	if r.Dport != nil {
		text += fmt.Sprintf(" dport %d-%d", r.Dport.Start, r.Dport.End)
	}
	if r.Goto > 0 {
		return text + fmt.Sprint(" goto ", r.Goto)
	}
	if name := kindsOfRoute[int(r.Type)]; name != "" {
		return text + " " + strings.TrimSpace(name)
	}
	if r.Table == 0 { // which of these a list of rules by netlink leaves out
		return text + " blackhole, unreachable or prohibit"
	}
	text += " lookup " + tableText(r.Table)
	if r.SuppressPrefixlen >= 0 {
		text += fmt.Sprint(" suppress_prefixlength ", r.SuppressPrefixlen)
	}
	return text
}

// neighbours writes what the node remembers of the others on its links, and what a
// bridge has learnt.
func (s *state) neighbours(w io.Writer) error {
	for _, family := range append(families, unix.AF_BRIDGE) {
		neighbours, err := s.handle.NeighList(0, family)
		if whole(err) != nil {
			return err
		}
		for _, n := range neighbours {
			switch {
			case family == unix.AF_BRIDGE && n.MasterIndex == 0: // what a link itself listens to
			case family == unix.AF_BRIDGE:
				fmt.Fprintf(w, "%s dev %s %s\n", n.HardwareAddr, s.name(n.LinkIndex), neighbourState(n.State))
			case n.State&netlink.NUD_NOARP == 0: // those without a link to ask on go by themselves
				fmt.Fprintf(w, "%s dev %s link %s %s%s\n", n.IP, s.name(n.LinkIndex), orDash(n.HardwareAddr.String()), neighbourState(n.State),
					strings.Join(flagNames(uint32(n.Flags), []flagName{{netlink.NTF_ROUTER, " router"}, {netlink.NTF_PROXY, " proxy"}}), ""))
			}
		}
	}
	return nil
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
