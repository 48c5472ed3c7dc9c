package probes

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"golang.org/x/sys/unix"
)

// mostParts bounds at, or from, how many addresses a check asks in place of all that a prefix or
// rules have.
const mostParts = 256

// A kernel takes each address of a prefix for its own that a route of type local is for: by
// hand (ip route add local 192.0.2.0/24 dev lo), or since the prefix is the loopback's own
// (ip addr add 192.0.2.1/24 dev lo). What rules, routes or policy routing on the way do with one
// says nothing of another that they tell apart.

// dividers are what nodes on the way tell addresses apart by, read when that is first wanted.
type dividers func() ([]rules.Divider, error)

func dividersOf(at meetings) (by []rules.Divider, err error) {
	met, err := at()
	if err != nil {
		return nil, err
	}
	for _, m := range met {
		more, err := dividersAt(m.node)
		if err != nil {
			return nil, err
		}
		by = append(by, more...)
	}
	return by, nil
}

// dividersAt are a node's: its rules, the routes of each of its tables, and its policy routing.
func dividersAt(node *harness.Node) (by []rules.Divider, err error) {
	set, err := rulesetOf(node)
	if err != nil {
		return nil, err
	}
	by = rules.Dividers(set)
	err = look(node, func(ns inspect.Namespace) error {
		routes, err := ns.Routes()
		if err != nil {
			return fmt.Errorf("list routes: %w", err)
		}
		tables := map[int]int{}
		for _, r := range routes {
			at, known := tables[r.Table]
			if !known {
				at = len(by)
				tables[r.Table], by = at, append(by, nil)
			}
			by[at] = append(by[at], rules.Prefixed(r.To, r.To.String()))
		}
		policy, err := ns.PolicyRules()
		if err != nil {
			return fmt.Errorf("list policy routing rules: %w", err)
		}
		for _, p := range policy {
			for _, prefix := range []netip.Prefix{p.From, p.To} {
				if prefix.IsValid() && prefix.Bits() > 0 {
					by = append(by, rules.Divider{rules.Prefixed(prefix, "")})
				}
			}
		}
		return nil
	})
	return by, err
}

// partsIn are addresses of the prefixes that routes of type local give a node, one of each part
// that is told apart, in a namespace of the node.
func partsIn(ns inspect.Namespace, node *harness.Node, links []inspect.Link, local []inspect.Route, by dividers) (live []liveAddr, err error) {
	for _, r := range local {
		if r.To.IsSingleIP() || r.To.Addr().IsLoopback() || r.To.Addr().IsLinkLocalUnicast() {
			continue
		}
		all, err := by()
		if err != nil {
			return nil, err
		}
		var wrong error
		ofUse := func(addr netip.Addr) bool {
			is, err := isLocal(ns, addr)
			wrong = firstError(wrong, err)
			return is && isUnicast(addr) && !addr.IsLoopback()
		}
		parts := rules.OneOfEach(r.To, all, ofUse)
		switch {
		case wrong != nil:
			return nil, wrong
		case len(parts) > mostParts:
			return nil, fmt.Errorf("all of %s is local to node %s, and rules and routes on the way tell %d parts of it apart, more than the %d that are asked: name the addresses that are meant", r.To, node, len(parts), mostParts)
		}
		for _, addr := range parts {
			live = append(live, liveAddr{addr, nameOfLink(links, r.Index)})
		}
	}
	return live, nil
}

// isLocal says whether a namespace's kernel takes an address for its own.
func isLocal(ns inspect.Namespace, addr netip.Addr) (bool, error) {
	way, err := ns.Lookup(inspect.Question{To: addr})
	return err == nil && way.Errno == 0 && way.Type == unix.RTN_LOCAL, err
}

func nameOfLink(links []inspect.Link, index int) string {
	if at := slices.IndexFunc(links, func(l inspect.Link) bool { return l.Index == index }); at >= 0 {
		return links[at].Name
	}
	return ""
}

// parts adds to an asker's own addresses those of its prefixes, and notes which targets are of
// these.
func (a *asker) parts(ns inspect.Namespace, links []inspect.Link, local []inspect.Route, targets []liveAddr, by dividers) error {
	parts, err := partsIn(ns, a.from, links, local, by)
	if err != nil || len(parts) == 0 {
		return err
	}
	for _, l := range parts {
		if !isOwn(a.own, l.addr) {
			a.own = append(a.own, l)
		}
	}
	for _, target := range targets {
		is, err := isLocal(ns, target.addr.WithZone(""))
		if err != nil {
			return err
		}
		if is {
			a.local = append(a.local, target.addr)
		}
	}
	return nil
}

// has says whether an address is the asker's own.
func (a *asker) has(addr netip.Addr) bool {
	return isOwn(a.own, addr) || slices.Contains(a.local, addr)
}
