package watch

import (
	"maps"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/verdict"
)

// declaredOf is what a node was declared to be, and what was taken from it since; false of a
// namespace that was attached: nobody declared it.
func declaredOf(node *harness.Node) (d verdict.Declared, ok bool) {
	plan, ok := node.Lab().Plan().Node(node.Name())
	if !ok || node.Attached() {
		return d, false
	}
	sysctls := map[string]string{}
	if plan.Router && !plan.Forward {
		sysctls["net/ipv4/ip_forward"], sysctls["net/ipv6/conf/all/forwarding"] = "0", "0"
	}
	for _, s := range plan.Sysctls {
		key := s.Key
		if !strings.Contains(key, "/") {
			key = strings.ReplaceAll(key, ".", "/")
		}
		sysctls[key] = s.Value
	}
	changes := node.Changes()
	d = verdict.Declared{Router: plan.Router, NoRoutes: plan.NoRoutes, Taken: changes.Routes}
	for _, set := range []map[string]string{sysctls, changes.Sysctls} { // a host that is told to forward is a router
		d.Router = d.Router || slices.ContainsFunc(slices.Collect(maps.Keys(set)), func(key string) bool { return forwards(key) && set[key] != "0" })
	}
	maps.Copy(sysctls, changes.Sysctls)
	for _, key := range slices.Sorted(maps.Keys(sysctls)) {
		if forwards(key) && sysctls[key] == "0" {
			d.Closed = append(d.Closed, key)
		}
	}
	return d, true
}

// forwards says whether a sysctl turns forwarding on or off.
func forwards(key string) bool {
	return strings.HasSuffix(key, "/ip_forward") || strings.HasSuffix(key, "/forwarding")
}
