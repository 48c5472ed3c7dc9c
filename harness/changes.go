package harness

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// Changes are what was changed of a node's routing through the harness since its lab
// is up: what somebody wants so, and no mistake.
type Changes struct {
	// Sysctls are the last values that SetSysctl gave, by key with slashes.
	Sysctls map[string]string
	// Routes are the destinations of routes that DelRoute took away, in order.
	Routes []netip.Prefix
}

// Changes are what was changed of the node through SetSysctl and DelRoute.
func (n *Node) Changes() Changes {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	return Changes{maps.Clone(n.changes.Sysctls), slices.Clone(n.changes.Routes)}
}

// changed notes a change, if it worked.
func (n *Node) changed(err error, note func(*Changes)) {
	if err != nil {
		return
	}
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	note(&n.changes)
}

func (c *Changes) set(key, value string) {
	if c.Sysctls == nil {
		c.Sysctls = map[string]string{}
	}
	if !strings.Contains(key, "/") {
		key = strings.ReplaceAll(key, ".", "/")
	}
	c.Sysctls[key] = value
}

// DelRoute takes the node's routes to a destination away, those of the main table:
// 0.0.0.0/0 and ::/0 are the default routes. Without one it is an error. A probe that
// finds no route then is stopped by a policy, as with topo's NoRoutes, where one that
// nobody took away looks like a mistake.
func (n *Node) DelRoute(to netip.Prefix) error {
	del := func(n *Node) error { return n.delRoute(to) }
	err := n.did(del(n), del)
	n.changed(err, func(c *Changes) { c.Routes = append(c.Routes, to.Masked()) })
	return err
}

func (n *Node) delRoute(to netip.Prefix) error {
	if !to.IsValid() {
		return errors.New("delete route: no destination: give a prefix")
	}
	routes, err := inspect.NetlinkRoutes(n.Netlink())
	if err != nil {
		return at(err, "delete route to %s: list routes", to)
	}
	found := false
	for _, r := range routes {
		if r.Table == unix.RT_TABLE_MAIN && inspect.RouteOf(r).To == to.Masked() {
			found = true
			if err := n.Netlink().RouteDel(&r); err != nil {
				return at(err, "delete route to %s", to)
			}
		}
	}
	if !found {
		return at(errors.New("there is none"), "delete route to %s", to)
	}
	return nil
}
