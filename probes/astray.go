package probes

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
)

// astray is the objection to a policy that ended a request on its way back to where it had come
// from, by a route that leads it back: on the way that the plan has nobody stopped it.
func (f *finding) astray() (o objection, is bool) {
	c := f.Cause
	if c == nil || c.Rule == nil || c.Leg != evidence.Request {
		return o, false
	}
	dropped := slices.IndexFunc(f.Timeline, func(s evidence.Sighting) bool {
		return s.Dropped() && s.Role == evidence.Request && s.Node == c.Node
	})
	if dropped < 0 {
		return o, false
	}
	to := f.Timeline[dropped].Destination
	for _, passage := range slices.Backward(f.met) {
		if passage.Node.Name() != c.Node {
			continue
		}
		if passage.In.Index == 0 || passage.In.Index != passage.Out.Index {
			return o, false
		}
		planned := plannedFor(passage.Node, to)
		if planned == "" || planned == passage.Out.Name {
			return o, false
		}
		return objection{
			fmt.Sprintf("%s, but on its way back by %s, where it came from: the plan's way from %s to %s is by %s: no policy isolates there, it looks like a mistake in the test",
				*c, passage.Out.Name, passage.Node, to, planned),
			"mend the route that leads back",
		}, true
	}
	return o, false
}

// plannedFor is the interface by which a node is planned to send to an address; "" where the plan
// says nothing, or policy routing or a multipath route do.
func plannedFor(node *harness.Node, to netip.Addr) (device string) {
	plan, ok := node.Lab().Plan().Node(node.Name())
	if !ok || len(plan.Rules) > 0 {
		return ""
	}
	longest := -1
	nearer := func(prefix netip.Prefix, by string) {
		if prefix.Contains(to) && prefix.Bits() > longest {
			longest, device = prefix.Bits(), by
		}
	}
	by := func(gateway netip.Addr) string {
		for _, d := range plan.Devices {
			if slices.ContainsFunc(d.Addrs, func(p netip.Prefix) bool { return p.Contains(gateway) }) {
				return d.Name
			}
		}
		return ""
	}
	for _, d := range plan.Devices {
		for _, p := range d.Addrs {
			if p.Addr() == to {
				return ""
			}
			nearer(p.Masked(), d.Name)
		}
	}
	for _, r := range plan.Routes {
		switch {
		case r.Table != 0:
		case r.Dev != "" || len(r.Hops) > 0:
			nearer(r.To, r.Dev)
		case r.Via.IsValid():
			nearer(r.To, by(r.Via))
		default:
			nearer(r.To, "") // it ends there
		}
	}
	return device
}
