package hygiene_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// network is the configuration of the calling thread's network namespace, a line
// for each thing. What comes and goes by itself is left out: carrier and
// lifetimes, counters, what neighbours and routers told.
func network() ([]string, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	var all []string
	for _, part := range []func(*netlink.Handle) ([]string, error){
		links, addresses, routes, policies, neighbours,
		func(*netlink.Handle) ([]string, error) { return rulesets() },
		func(*netlink.Handle) ([]string, error) { return sysctls() },
	} {
		lines, err := part(handle)
		if err != nil {
			return nil, err
		}
		all = append(all, lines...)
	}
	return all, nil
}

// byItself are the flags that a driver or the other end sets.
const byItself = unix.IFF_RUNNING | unix.IFF_LOWER_UP | unix.IFF_DORMANT

func links(handle *netlink.Handle) (lines []string, err error) {
	list, err := handle.LinkList()
	for _, link := range list {
		a := link.Attrs()
		lines = append(lines, fmt.Sprintf("link %s: %s, index %d, flags %#x, mtu %d, mac %s, master %d",
			a.Name, link.Type(), a.Index, a.RawFlags&^byItself, a.MTU, a.HardwareAddr, a.MasterIndex))
	}
	return lines, err
}

func addresses(handle *netlink.Handle) (lines []string, err error) {
	list, err := handle.AddrList(nil, netlink.FAMILY_ALL)
	for _, addr := range list {
		if addr.Flags&unix.IFA_F_TEMPORARY != 0 && addr.IP.To4() == nil {
			continue // the kernel makes new ones all the time (RFC 8981)
		}
		lines = append(lines, fmt.Sprintf("address %s: index %d, scope %d, peer %v, label %q",
			addr.IPNet, addr.LinkIndex, addr.Scope, addr.Peer, addr.Label))
	}
	return lines, err
}

func routes(handle *netlink.Handle) (lines []string, err error) {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		every := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
		list, err := handle.RouteListFiltered(family, every, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			if r.Protocol == unix.RTPROT_RA || r.Protocol == unix.RTPROT_REDIRECT {
				continue
			}
			lines = append(lines, fmt.Sprintf("route %v: table %d, type %d, via %v, index %d, metric %d, protocol %d, scope %d, source %v, %d hops",
				r.Dst, r.Table, r.Type, r.Gw, r.LinkIndex, r.Priority, r.Protocol, r.Scope, r.Src, len(r.MultiPath)))
		}
	}
	return lines, nil
}

func policies(handle *netlink.Handle) (lines []string, err error) {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := handle.RuleList(family)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			lines = append(lines, fmt.Sprintf("rule %d: family %d, from %v to %v, iif %q, oif %q, mark %#x, table %d, type %d",
				r.Priority, family, r.Src, r.Dst, r.IifName, r.OifName, r.Mark, r.Table, r.Type))
		}
	}
	return lines, nil
}

// neighbours are the permanent ones: somebody must have set them.
func neighbours(handle *netlink.Handle) (lines []string, err error) {
	list, err := handle.NeighList(0, netlink.FAMILY_ALL)
	for _, n := range list {
		if n.State&netlink.NUD_PERMANENT != 0 {
			lines = append(lines, fmt.Sprintf("neighbour %s: index %d, mac %s", n.IP, n.LinkIndex, n.HardwareAddr))
		}
	}
	return lines, err
}

// rulesets are all tables of nftables, iptables-nft's among them. An ordinary
// user may not even read those of the machine.
func rulesets() (lines []string, err error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	tables, err := conn.ListTables()
	if errors.Is(err, unix.EPERM) {
		return nil, nil
	}
	for _, table := range tables {
		lines = append(lines, fmt.Sprintf("nftables %d %s", table.Family, table.Name))
	}
	if err != nil {
		return nil, err
	}
	chains, err := conn.ListChains()
	for _, chain := range chains {
		policy := nftables.ChainPolicyAccept
		if chain.Policy != nil {
			policy = *chain.Policy
		}
		name := fmt.Sprintf("nftables %d %s %s", chain.Table.Family, chain.Table.Name, chain.Name)
		lines = append(lines, fmt.Sprintf("%s: type %s, policy %d", name, chain.Type, policy))
	}
	if err != nil || len(chains) == 0 {
		return lines, err
	}
	texts, err := ruleTexts()
	return append(lines, texts...), err
}

// ruleTexts are all rules, also such as google/nftables cannot decode.
func ruleTexts() (lines []string, err error) {
	conn, err := inspect.DialRuleset()
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	set, err := inspect.ReadRuleset(conn)
	if err != nil {
		return nil, err
	}
	for _, table := range set.Tables {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				text, err := ruleText(rule)
				if err != nil {
					return nil, err
				}
				lines = append(lines, fmt.Sprintf("nftables %s: rule %d: %s", chain, rule.Handle, text))
			}
		}
	}
	return lines, nil
}

// ruleText is a rule without what it has counted.
func ruleText(rule *inspect.Rule) (string, error) {
	counts := func(e any) bool {
		switch e.(type) {
		case *expr.Counter, *expr.Quota:
			return true
		}
		return false
	}
	text, err := json.Marshal(slices.DeleteFunc(rule.Exprs, counts))
	return string(text), err
}

// changes are the lines that only one of two lists has. Parameters that only the
// later one has are none: they came with a module of the kernel, which gives them
// to every namespace, or with a link, which has a line of its own.
func changes(before, after []string) (lines []string) {
	known := map[string]bool{}
	for _, line := range before {
		known[parameter(line)] = true
		if !slices.Contains(after, line) {
			lines = append(lines, "- "+line)
		}
	}
	for _, line := range after {
		if p := parameter(line); !slices.Contains(before, line) && (p == "" || known[p]) {
			lines = append(lines, "+ "+line)
		}
	}
	return lines
}

// parameter is the name in a line about a kernel parameter; "" in another.
func parameter(line string) string {
	name, _, _ := strings.Cut(line, " = ")
	if !strings.HasPrefix(name, "sysctl ") {
		return ""
	}
	return name
}
