package harness

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/nstest/nstest/harness/internal/device"
	"github.com/nstest/nstest/topo"
)

// refuses says what the plan asks for that a lab which is up cannot come to.
func (t *transition) refuses() error {
	if hasIPv6(t.plan) && !t.was.site.ipv6 {
		return errNoIPv6
	}
	var errs []error
	for i := range t.plan.Nodes {
		after := &t.plan.Nodes[i]
		before, stays := t.old.Node(after.Name)
		if !stays {
			t.fresh[after.Name] = true
			continue
		}
		for _, problem := range refusedOf(before, after) {
			errs = append(errs, at(errors.New(problem), "node %s", after.Name))
		}
	}
	errs = append(errs, t.refusedOVS()...)
	for i := range t.plan.Segments {
		for _, problem := range []string{t.refusedWire(&t.plan.Segments[i]), t.refusedVLANs(&t.plan.Segments[i])} {
			if problem != "" {
				errs = append(errs, errors.New(problem))
			}
		}
	}
	if len(errs) > 0 || len(t.fresh) == 0 {
		return errors.Join(errs...)
	}
	return needs{len(t.fresh) + 1, 2*len(t.fresh) + spare, builders}.check(readLimits())
}

// refusedOf says what of a node cannot be changed.
func refusedOf(before, after *topo.NodePlan) (problems []string) {
	names := map[string]bool{}
	for _, d := range beyond(before, after) {
		names[d.Name] = true
	}
	for i := range after.Devices {
		d := &after.Devices[i]
		was := byIndex(before, d.Index)
		switch {
		case was == nil && names[d.Name]:
			problems = append(problems, fmt.Sprintf("interface %s is taken away, and there is to be another of that name: make two changes of it", d.Name))
		case was == nil:
		case was.Kind != d.Kind || was.Name != d.Name || was.MAC != d.MAC || was.Parent != d.Parent || was.ID != d.ID ||
			was.Local != d.Local || was.Table != d.Table || was.Mode != d.Mode || was.Segment != d.Segment && d.Kind == topo.PortKind:
			problems = append(problems, fmt.Sprintf("interface %s is to be made otherwise: take it away, and declare it anew in another change", d.Name))
		case !slices.Equal(was.Remotes, d.Remotes) && !floods(d.Kind):
			problems = append(problems, fmt.Sprintf("interface %s is to have other ends: take it away, and declare it anew in another change", d.Name))
		}
	}
	if n := len(before.Rulesets); len(after.Rulesets) < n || !slices.Equal(before.Rulesets, after.Rulesets[:n]) {
		problems = append(problems, "a text of rules that was loaded is to be another: rules are changed by Node.Nft and Iptables")
	}
	return problems
}

func floods(kind string) bool {
	k, err := device.Of(kind)
	return err == nil && k.Flood
}

// refusedWire says what keeps a wire from losing one end.
func (t *transition) refusedWire(segment *topo.SegmentPlan) string {
	before, was := t.old.Segment(segment.Name)
	if !was || segment.Kind != topo.KindWire {
		return ""
	}
	stay := 0
	for _, ref := range segment.Ports {
		if slices.Contains(before.Ports, ref) && t.samePort(ref) {
			stay++
		}
	}
	if stay == 1 {
		return fmt.Sprintf("segment %s: one end of the wire is to stay, which goes with the other: take it away whole, or make it a switch", segment.Name)
	}
	return ""
}

// refusedVLANs says that a switch which keeps VLANs apart stays what it is.
func (t *transition) refusedVLANs(segment *topo.SegmentPlan) string {
	declared := func(plan *topo.Plan, segment *topo.SegmentPlan) map[spot]carried {
		return vlansOf(plan, segment, func(at spot) topo.SwitchPort { return declaredEnd(plan, at) })
	}
	was, now, since := map[spot]carried(nil), declared(t.plan, segment), map[spot]carried(nil)
	if before, stays := t.old.Segment(segment.Name); stays {
		was, since = declared(t.old, before), vlansOf(t.old, before, t.was.site.chosen)
	}
	if now == nil && since == nil || reflect.DeepEqual(was, now) {
		return ""
	}
	return fmt.Sprintf("segment %s: its switch keeps VLANs apart, and so its ports are those that were declared before Up: change the VLANs of one by Port.SetVLANs", segment.Name)
}

// samePort says whether a port is the one that was there before.
func (t *transition) samePort(ref topo.PortRef) bool {
	before, ok1 := t.old.Node(ref.Node)
	after, ok2 := t.plan.Node(ref.Node)
	if !ok1 || !ok2 {
		return false
	}
	a, ok1 := before.Device(ref.Port)
	b, ok2 := after.Device(ref.Port)
	return ok1 && ok2 && a.Index == b.Index
}
