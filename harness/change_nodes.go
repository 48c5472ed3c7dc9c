package harness

import (
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness/internal/device"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// configure gives nodes that are new all that they have, and those that stay what is
// otherwise.
func (t *transition) configure() error {
	for i := range t.site.plan.Nodes {
		node := &t.site.plan.Nodes[i]
		if !t.fresh[node.Name] {
			continue
		}
		if err := t.site.configure(node); err != nil {
			return err
		}
		for j := range node.Devices {
			if node.Devices[j].Kind != topo.PortKind {
				t.added = append(t.added, spot{node.Name, node.Devices[j].Name})
			}
		}
	}
	return t.kept(func(before, after *topo.NodePlan) error {
		all, err := t.differences(before, after)
		if err != nil {
			return err
		}
		if err := t.requests(t.site.grounds[after.Name], all); err != nil {
			return err
		}
		return t.generics(before, after)
	})
}

// differences are the requests that make another of a node that stays.
func (t *transition) differences(before, after *topo.NodePlan) (all []request, err error) {
	made, err := t.newDevices(before, after)
	if err != nil {
		return nil, err
	}
	all = append(all, made...)
	for i := range after.Devices {
		all = append(all, t.otherwise(before, after, &after.Devices[i])...)
	}
	for _, p := range without(before.Loopback, after.Loopback) {
		all = append(all, delAddr(loopback, loIndex, p))
	}
	for _, p := range without(after.Loopback, before.Loopback) {
		all = append(all, addAddr(loopback, loIndex, p))
	}
	for _, d := range inOrder(after) {
		if byIndex(before, d.Index) == nil && !t.site.isUp[spot{after.Name, d.Name}] {
			all = append(all, request{do: func(b *batch) {
				b.setLink(d.Index, true, describe("port %s: set up", d.Name))
				b.addEntries(d)
			}})
		}
	}
	return append(all, t.oldDevices(before, after)...), nil
}

// inOrder are a node's interfaces, each after what it is made on.
func inOrder(node *topo.NodePlan) []*topo.DevicePlan {
	var ports []*topo.DevicePlan
	for i := range node.Devices {
		if node.Devices[i].Kind == topo.PortKind {
			ports = append(ports, &node.Devices[i])
		}
	}
	return append(ports, made(node)...)
}

// newDevices makes those that are no ends of pairs.
func (t *transition) newDevices(before, after *topo.NodePlan) (all []request, err error) {
	vrfs := slices.ContainsFunc(before.Devices, func(d topo.DevicePlan) bool { return d.Table != 0 })
	for _, d := range made(after) {
		if byIndex(before, d.Index) != nil {
			continue
		}
		kind, err := device.Of(d.Kind)
		if err != nil {
			return nil, err
		}
		if err := t.site.grounds[after.Name].makeTuns(d); err != nil {
			return nil, err
		}
		all = append(all, t.makes(t.site, after.Name, d, kind))
		if d.Table != 0 && !vrfs {
			vrfs = true
			all = append(all, request{do: func(b *batch) { b.askVRFsFirst(!noIPv6()) }})
		}
		if kind.Flood {
			for _, remote := range d.Remotes {
				all = append(all, flood(d, remote))
			}
		}
		t.added = append(t.added, spot{after.Name, d.Name})
	}
	return all, nil
}

func (t *transition) makes(s *site, node string, d *topo.DevicePlan, kind *device.Kind) request {
	parent := s.indexes[spot{node, d.Parent}]
	return request{
		func(b *batch) { b.addDevice(d, kind, parent, describe("make %s %s", d.Kind, d.Name)) },
		func(b *batch) { b.delLink(d.Index, describe("take %s %s away", d.Kind, d.Name)) },
	}
}

// oldDevices takes those away that are no ends of pairs.
func (t *transition) oldDevices(before, after *topo.NodePlan) (all []request) {
	for _, d := range slices.Backward(made(before)) {
		if byIndex(after, d.Index) != nil {
			continue
		}
		kind, err := device.Of(d.Kind)
		if err != nil {
			continue // none that was made
		}
		r := t.makes(t.was.site, before.Name, d, kind)
		all = append(all, request{r.undo, func(b *batch) {
			_ = t.was.site.grounds[before.Name].makeTuns(d) // else what follows says that there is none
			r.do(b)
			t.returned[spot{before.Name, d.Name}] = true
		}})
	}
	return all
}

// otherwise is what of an interface is: of one that is new, all but that it is there.
func (t *transition) otherwise(before, after *topo.NodePlan, d *topo.DevicePlan) (all []request) {
	was := byIndex(before, d.Index)
	where := spot{after.Name, d.Name}
	if was == nil {
		was = &topo.DevicePlan{MTU: d.MTU}
		all = append(all, ownNeighbourParms(d, t.site.ipv6)...)
	}
	if was.MTU != d.MTU {
		all = append(all, setMTU(d.Index, was.MTU, d.MTU))
		t.outerMTU(where, was.MTU, d.MTU)
	}
	if was.Master != d.Master {
		all = append(all, t.masters(before, after, was, d)...)
	}
	for _, remote := range without(was.Remotes, d.Remotes) {
		f := flood(d, remote)
		all = append(all, request{f.undo, f.do})
	}
	if was.Name != "" {
		for _, remote := range without(d.Remotes, was.Remotes) {
			all = append(all, flood(d, remote))
		}
	}
	if was.Name != "" {
		all = append(all, otherNeighbours(was, d)...)
	}
	for _, p := range without(was.Addrs, d.Addrs) {
		all = append(all, delAddr(d.Name, d.Index, p))
	}
	for _, p := range without(d.Addrs, was.Addrs) {
		all = append(all, addAddr(d.Name, d.Index, p))
		t.addressed[where] = true
	}
	return all
}

// masters makes an interface a port of another, or of none.
func (t *transition) masters(before, after *topo.NodePlan, was, d *topo.DevicePlan) (all []request) {
	old, next := t.was.site.indexes[spot{before.Name, was.Master}], t.site.indexes[spot{after.Name, d.Master}]
	idle := false
	if master, has := after.Device(d.Master); has {
		if kind, err := device.Of(master.Kind); err == nil {
			idle = kind.Idle
		}
	}
	if idle {
		all = append(all, request{
			func(b *batch) { b.setLink(d.Index, false, describe("%s: set down", d.Name)) },
			func(b *batch) { b.setLink(d.Index, true, describe("%s: set up", d.Name)) },
		})
	}
	all = append(all, request{
		func(b *batch) {
			b.setMaster(d.Index, next, describe("%s: make it a port of %s", d.Name, orDash(d.Master)))
		},
		func(b *batch) {
			b.setMaster(d.Index, old, describe("%s: make it a port of %s", d.Name, orDash(was.Master)))
		},
	})
	if idle {
		all = append(all, request{do: func(b *batch) { b.setLink(d.Index, true, describe("%s: set up", d.Name)) }})
	}
	return all
}

// outerMTU has the switch's end follow.
func (t *transition) outerMTU(where spot, before, after int) {
	if index, on := t.site.outer[where]; on {
		t.fabricLater = append(t.fabricLater, setMTU(index, before, after))
	}
}

func setMTU(index, before, after int) request {
	set := func(bytes int) func(b *batch) {
		if bytes == 0 {
			bytes = 1500
		}
		return func(b *batch) {
			b.begin(unix.RTM_NEWLINK, 0, ifinfo(index, 0, 0))
			b.u32(unix.IFLA_MTU, uint32(bytes))
			b.end(describe("set MTU %d", bytes))
		}
	}
	return request{set(after), set(before)}
}

// without are those of a list that another lacks.
func without[T comparable](list, other []T) (lacks []T) {
	for _, one := range list {
		if !slices.Contains(other, one) {
			lacks = append(lacks, one)
		}
	}
	return lacks
}

func addAddr(name string, index int, p netip.Prefix) request {
	return request{
		func(b *batch) { b.addAddr(index, p, describe("port %s: set address %s", name, p)) },
		func(b *batch) { b.delAddr(index, p, describe("port %s: delete address %s", name, p)) },
	}
}

func delAddr(name string, index int, p netip.Prefix) request {
	r := addAddr(name, index, p)
	return request{r.undo, r.do}
}

// otherNeighbours have an interface that stays be told of the neighbours that it has by now.
func otherNeighbours(was, d *topo.DevicePlan) (all []request) {
	one := func(n topo.NeighbourPlan) request {
		return request{
			func(b *batch) {
				b.addEntries(&topo.DevicePlan{Name: d.Name, Index: d.Index, Neighbours: []topo.NeighbourPlan{n}})
			},
			func(b *batch) {
				b.forgetNeighbour(d.Index, n.Addr, describe("%s: forget neighbour %s", d.Name, n.Addr))
			},
		}
	}
	for _, n := range without(was.Neighbours, d.Neighbours) {
		r := one(n)
		all = append(all, request{r.undo, r.do})
	}
	for _, n := range without(d.Neighbours, was.Neighbours) {
		all = append(all, one(n))
	}
	return all
}

func flood(d *topo.DevicePlan, to netip.Addr) request {
	return request{
		func(b *batch) { b.addFlood(d.Index, to, describe("%s: send what is for all to %s", d.Name, to)) },
		func(b *batch) { b.delFlood(d.Index, to, describe("%s: send nothing for all to %s", d.Name, to)) },
	}
}
