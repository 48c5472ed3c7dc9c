package probes

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// A node that is on the links of two tenants, and does not forward, is no path: a jump host,
// a monitor. This is said only where the plan leads what is sent to the address elsewhere, to
// the asker's own tenant: a Host that a test meant to be the router between two networks
// is a mistake, which is told as such.

// apartButFor says whether nodes that hand on nothing are all that joins the asker of a result
// and its target.
func (p *paths) apartButFor(r Result) (bool, error) {
	lab := r.from.Lab()
	if !leadsElsewhere(lab.Plan(), r) {
		return false, nil
	}
	var still []*harness.Node
	owners := lab.Plan().Owners(r.Addr.WithZone(""))
	for _, node := range lab.Nodes() {
		plan, _ := lab.Plan().Node(node.Name())
		switch {
		case node == r.from || node == r.target || plan.Forward:
			continue
		case !slices.Contains(owners, node.Name()) && cameTo(r.Timeline, []string{node.Name()}):
			return false, nil // it may yet hand on what it got
		}
		is, err := p.isStill(node, r.Addr.Is6())
		if err != nil {
			return false, fmt.Errorf("look whether node %s forwards: %w", node, err)
		}
		if is {
			still = append(still, node)
		}
	}
	if len(still) == 0 {
		return false, nil
	}
	islands, err := lab.Islands(still...)
	if err != nil {
		return false, fmt.Errorf("look for a path from %s to %s: %w", r.from, r.target, err)
	}
	p.carried = nil // the islands are other ones
	defer func() { p.carried = nil }()
	return p.separate(r, numbered(islands))
}

// leadsElsewhere says whether the plan leads what the asker sends to the address to a link
// that the target is not on.
func leadsElsewhere(plan *topo.Plan, r Result) bool {
	at, addr := r.from.Name(), r.Addr.WithZone("")
	w := way{plan: plan, nodes: map[string]bool{}, segments: map[string]bool{}}
	for range len(plan.Nodes) {
		node, _ := plan.Node(at)
		next, ok := plan.Way(at, addr)
		port := slices.IndexFunc(node.Devices, func(p topo.DevicePlan) bool {
			return ok && p.Name == next.Dev || !ok && slices.ContainsFunc(p.Addrs, func(own netip.Prefix) bool { return own.Contains(addr) })
		})
		if port < 0 {
			return false
		}
		segment := node.Devices[port].Segment
		if !next.Via.IsValid() {
			target, _ := plan.Node(r.target.Name())
			return !slices.ContainsFunc(target.Ports, func(p topo.PortPlan) bool { return plan.Link(p.Segment) == plan.Link(segment) })
		}
		if at = w.arrive(segment, next.Via); at == "" {
			return false
		}
		if router, _ := plan.Node(at); !router.Forward {
			return false // a mistake, or what is to be named
		}
	}
	return false
}

// stillKey is a node, and a family.
type stillKey struct {
	node *harness.Node
	v6   bool
}

// isStill says whether a node hands on nothing of a family from one of its links to another:
// it does not forward, nothing in it joins links, no rule copies or queues packets, and no
// program gets those of others.
func (p *paths) isStill(node *harness.Node, v6 bool) (is bool, err error) {
	key := stillKey{node, v6}
	if is, known := p.still[key]; known {
		return is, nil
	}
	if p.still == nil {
		p.still = map[stillKey]bool{}
	}
	defer func() { p.still[key] = is && err == nil }()
	err = look(node, func(ns inspect.Namespace) error {
		for _, holds := range []func() (bool, error){
			func() (bool, error) { return forwardsNothing(v6) },
			func() (bool, error) { return joinsNothing(ns) },
			func() (bool, error) { return balancesNothing() },
			func() (bool, error) { return seesNothing(node) },
		} {
			if is, err = holds(); err != nil || !is {
				return err
			}
		}
		return nil
	})
	if err != nil || !is {
		return false, err
	}
	set, err := rulesetOf(node)
	return err == nil && rules.Copying(set) == nil, err
}

// forwardsNothing says whether no interface of the thread's namespace forwards.
func forwardsNothing(v6 bool) (bool, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/sys/net/ipv%d/conf/*/*forwarding", version(v6)))
	if err != nil || len(files) == 0 {
		return v6, err // a kernel without IPv6
	}
	for _, file := range files {
		value, err := os.ReadFile(file)
		if err != nil {
			return false, err
		}
		if strings.TrimSpace(string(value)) != "0" {
			return false, nil
		}
	}
	return true, nil
}

// joinsNothing says whether each link that is up is by itself, or on top of another.
func joinsNothing(ns inspect.Namespace) (bool, error) {
	links, err := ns.Links()
	if err != nil {
		return false, fmt.Errorf("list links: %w", err)
	}
	return !slices.ContainsFunc(links, func(l inspect.Link) bool {
		plain := l.Flags&unix.IFF_LOOPBACK != 0 || slices.Contains([]string{"veth", "vlan", "dummy"}, l.Kind)
		return l.Up && !plain || l.Master != 0
	}), nil
}

// balancesNothing says whether the namespace has no virtual service (IPVS), which needs no
// forwarding.
func balancesNothing() (bool, error) {
	const title = 3 // lines
	file, err := os.Open("/proc/thread-self/net/ip_vs")
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	lines := 0
	for s := bufio.NewScanner(file); s.Scan(); {
		lines++
	}
	return lines <= title, nil
}

// seesNothing says whether no program gets packets of others, and none is changed on its way.
func seesNothing(node *harness.Node) (bool, error) {
	spots, err := inspect.OpenBlindSpots()
	if err != nil {
		return false, err
	}
	defer spots.Close()
	programs, err := spots.Sockets(watch.IsTap, watch.ReadsLog(node))
	if err != nil {
		return false, err
	}
	standing, _, err := spots.Standing()
	return len(programs)+len(standing) == 0, err
}
