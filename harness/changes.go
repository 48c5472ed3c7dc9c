package harness

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
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
	n = n.here()
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
