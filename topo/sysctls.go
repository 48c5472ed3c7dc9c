package topo

import (
	"slices"
	"strings"
)

// checkSysctls finds keys that are not a namespace's, or of an interface that
// the node does not have.
func (p *planner) checkSysctls(node int) {
	for _, s := range p.network.nodes[node].sysctls {
		where := "node " + p.nodeName(node)
		parts := splitSysctl(s.Key)
		switch {
		case parts[0] != "net":
			p.wrong("%s: sysctl %q: only those of net. belong to a node: choose one", where, s.Key)
		case len(parts) < 2 || slices.Contains(parts, "") || slices.Contains(parts, "..") || shown(s.Key) != s.Key:
			p.wrong("%s: sysctl %q: write it like net.ipv4.ip_forward", where, s.Key)
		case s.Value == "":
			p.wrong("%s: sysctl %s: there is no value: give one", where, s.Key)
		default:
			p.checkInterface(where, node, s.Key, parts)
		}
	}
}

// splitSysctl is a key's parts. A key with a slash has slashes throughout, so
// that its parts may have dots.
func splitSysctl(key string) []string {
	if strings.Contains(key, "/") {
		return strings.Split(key, "/")
	}
	return strings.Split(key, ".")
}

func (p *planner) checkInterface(where string, node int, key string, parts []string) {
	if len(parts) < 5 || parts[2] != "conf" && parts[2] != "neigh" {
		return
	}
	names := []string{}
	for j, device := range p.plan.Nodes[node].Devices {
		if p.unknown[end{node, j}] {
			return
		}
		names = append(names, device.Name)
	}
	if slices.Contains([]string{"all", "default", "lo"}, parts[3]) || slices.Contains(names, parts[3]) {
		return
	}
	has := "no ports"
	if len(names) > 0 {
		has = strings.Join(names, ", ")
	}
	p.wrong("%s: sysctl %s: the node has no interface %s: choose one of its own (%s); if the name has dots, write the key with slashes",
		where, key, parts[3], has)
}
