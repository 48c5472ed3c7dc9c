package harness

import (
	"net/netip"
	"reflect"
	"slices"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// routeKey is what two routes of one table may not have in common.
type routeKey struct {
	to            netip.Prefix
	table, metric int
}

func keyOf(r topo.RoutePlan) routeKey { return routeKey{r.To, r.Table, r.Metric} }

// route gives nodes that stay the routes and rules that are otherwise: when what is gone has
// gone, with the kernel's own routes by it.
func (t *transition) route() error {
	return t.kept(func(before, after *topo.NodePlan) error {
		return t.requests(t.site.grounds[after.Name], append(t.routes(before, after), t.rules(before, after)...))
	})
}

// by says whether a route leads by nothing but interfaces that are taken away, with which the
// kernel takes it: see returns.
func by(gone []*topo.DevicePlan, r topo.RoutePlan) bool {
	is := func(name string) bool {
		return slices.ContainsFunc(gone, func(d *topo.DevicePlan) bool { return d.Name == name })
	}
	if len(r.Hops) > 0 {
		return !slices.ContainsFunc(r.Hops, func(hop topo.HopPlan) bool { return !is(hop.Dev) })
	}
	return r.Dev != "" && is(r.Dev)
}

// routes are those that are new, that lead elsewhere, and that are no more. One that leads
// elsewhere is replaced, so that there is always one.
func (t *transition) routes(before, after *topo.NodePlan) (all []request) {
	add := func(s *site, r topo.RoutePlan, flags uint16) func(*batch) {
		return func(b *batch) {
			b.setRoute(unix.RTM_NEWROUTE, flags, r, s.indexesOf(after.Name), describe("add route %s", routeText(r)))
		}
	}
	del := func(s *site, r topo.RoutePlan) func(*batch) {
		return func(b *batch) {
			b.setRoute(unix.RTM_DELROUTE, 0, r, s.indexesOf(after.Name), describe("delete route %s", routeText(r)))
		}
	}
	const create, replace = unix.NLM_F_CREATE | unix.NLM_F_EXCL, unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	gone := beyond(before, after)
	old, next := lacking(before.Routes, after.Routes), lacking(after.Routes, before.Routes)
	old = slices.DeleteFunc(old, func(r topo.RoutePlan) bool { return by(gone, r) })
	for _, r := range next {
		at := slices.IndexFunc(old, func(o topo.RoutePlan) bool { return keyOf(o) == keyOf(r) })
		if at < 0 {
			all = append(all, request{add(t.site, r, create), del(t.site, r)})
			continue
		}
		all = append(all, request{add(t.site, r, replace), add(t.was.site, old[at], replace)})
		old = slices.Delete(old, at, at+1)
	}
	for _, r := range old {
		if slices.Contains(t.lab.taken(before.Name), r.To) && r.Table == 0 {
			continue // by DelRoute already
		}
		all = append(all, request{del(t.was.site, r), add(t.was.site, r, create)})
	}
	return all
}

// taken are the routes that DelRoute took away.
func (l *Lab) taken(node string) []netip.Prefix { return l.now().byName[node].Changes().Routes }

// lacking are those of a list that another lacks, as DeepEqual has it.
func lacking[T any](list, other []T) (lacks []T) {
	for _, one := range list {
		if !slices.ContainsFunc(other, func(o T) bool { return reflect.DeepEqual(o, one) }) {
			lacks = append(lacks, one)
		}
	}
	return lacks
}

func (t *transition) rules(before, after *topo.NodePlan) (all []request) {
	requestOf := func(rule topo.RulePlan) request {
		return request{
			func(b *batch) { b.addRule(rule, describe("add rule %s", rule)) },
			func(b *batch) { b.delRule(rule, describe("delete rule %s", rule)) },
		}
	}
	for _, rule := range lacking(after.Rules, before.Rules) {
		all = append(all, requestOf(rule))
	}
	for _, rule := range lacking(before.Rules, after.Rules) {
		r := requestOf(rule)
		all = append(all, request{r.undo, r.do})
	}
	return all
}
