package harness

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// leaving are the interfaces of a node of the plan before that are to be no more.
func (t *transition) leaving(node *topo.NodePlan) []*topo.DevicePlan {
	return beyond(node, t.after(node))
}

// after is what becomes of a node: one without anything where it is to be no more.
func (t *transition) after(node *topo.NodePlan) *topo.NodePlan {
	if after, stays := t.plan.Node(node.Name); stays {
		return after
	}
	return &topo.NodePlan{}
}

// returns notes that interfaces which are taken away have what they had, once all of them are
// back: so it is the last that is undone of what a node loses.
func (t *transition) returns() error {
	t.did(t.queuesAgain)
	for i := range t.old.Nodes {
		node := &t.old.Nodes[i]
		gone := t.leaving(node)
		if len(gone) == 0 {
			continue
		}
		ground, taken := t.was.site.grounds[node.Name], t.lab.taken(node.Name)
		t.did(func() error {
			b, back := new(batch), []spot(nil)
			for _, d := range inOrder(node) {
				if where := (spot{node.Name, d.Name}); t.returned[where] {
					t.was.site.again(b, where)
					back = append(back, where)
				}
			}
			if len(back) > 0 {
				t.was.site.reroute(b, node.Name, gone, taken)
			}
			return errors.Join(ground.rtnl.do(b), t.was.site.retold(back), t.was.site.carriers(back), t.was.site.impairPorts(back))
		})
	}
	return nil
}

// again gives an interface what it had: where it is a port, before it is up.
func (s *site) again(b *batch, where spot) {
	d := s.device(where)
	if d.Master != "" {
		b.setMaster(d.Index, s.indexes[spot{where.node, d.Master}], describe("%s: make it a port of %s again", d.Name, d.Master))
	}
	if floods(d.Kind) {
		for _, remote := range d.Remotes {
			flood(d, remote).do(b)
		}
	}
	for _, prefix := range d.Addrs {
		b.replaceAddr(d.Index, prefix, describe("port %s: set address %s again", d.Name, prefix))
	}
	b.setLink(d.Index, true, describe("port %s: set up again", d.Name))
	b.addEntries(d)
}

// reroute gives a node its routes by interfaces again, but for those that DelRoute took.
func (s *site) reroute(b *batch, node string, devices []*topo.DevicePlan, taken []netip.Prefix) {
	for _, route := range s.owners[node].Routes {
		if by(devices, route) && (route.Table != 0 || !slices.Contains(taken, route.To)) {
			b.setRoute(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, route, s.indexesOf(node), describe("add route %s again", routeText(route)))
		}
	}
}
