package policy

import (
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// The ports of a VRF are routed by its table alone. What comes in by one meets the rules of prerouting twice, by its port and then
// by the VRF, by which it has come in from there on; it leaves by a port.

// isVRF says whether an interface is one.
func (w *world) isVRF(index int) bool {
	for _, l := range w.links {
		if l.Index == index {
			return l.Kind == "vrf"
		}
	}
	return false
}

// vrfOf is the VRF that an interface is, or is a port of; 0 for none.
func (w *world) vrfOf(index int) int {
	for _, l := range w.links {
		switch {
		case l.Index != index:
		case l.Kind == "vrf":
			return index
		case w.isVRF(l.Master):
			return l.Master
		}
	}
	return 0
}

// portsOf are the interfaces by which packets come in that come in by one: of a VRF its ports.
func (w *world) portsOf(index int) (ports []int) {
	if !w.isVRF(index) {
		return []int{index}
	}
	for _, l := range w.links {
		if l.Master == index {
			ports = append(ports, l.Index)
		}
	}
	return ports
}

// firstIn are the interfaces by which packets are at prerouting that come in by one: of a VRF its ports, and then itself.
func (w *world) firstIn(in set) (all []int) {
	for _, x := range in {
		index := int(x.first.lo)
		if w.isVRF(index) {
			all = append(all, w.portsOf(index)...)
		}
		all = append(all, index)
	}
	return all
}

// exit is an interface by which a VRF's packets leave; those of the rest of the node where that is 0.
type exit struct{ vrf, out int }

// route finds which destinations leave by which interface: by the table of their VRF, and then by that of most.
func (w *world) route() {
	tables := map[int][]int{0: {unix.RT_TABLE_MAIN}}
	for _, l := range w.links {
		if l.Kind == "vrf" {
			tables[l.Index] = []int{l.Table, unix.RT_TABLE_MAIN}
		}
	}
	for vrf, own := range tables {
		taken := w.ownOf(vrf).or(w.never(false)).or(w.kinds[unix.RTN_BROADCAST].orNone())
		for _, table := range own {
			taken = w.routeBy(table, vrf, taken)
		}
	}
}

// routeBy asks a table, whose routes have what is not taken yet.
func (w *world) routeBy(table, vrf int, taken set) set {
	for _, r := range routesOf(w.state.Routes, table, w.v6) {
		to := prefixSet(r.To)
		if r.Type == unix.RTN_UNICAST {
			for _, index := range append([]int{r.Index}, hops(r)...) {
				if index != 0 {
					w.leads[exit{vrf, index}] = w.goes(vrf, index).or(to.without(taken))
				}
			}
		}
		taken = taken.or(to.without(linkLocal(w.v6))) // which each link has
	}
	return taken
}

// goes are the destinations that leave by an interface, of what came in by one, or of what the node itself sends (0).
func (w *world) goes(in, out int) set {
	return none().or(w.leads[exit{w.vrfOf(in), out}].orNone())
}

// to are the destinations that leave by an interface as those who are there have it: of a VRF, by any of its ports.
func (w *world) to(index int) set {
	made := none()
	for _, port := range w.portsOf(index) {
		made = made.or(w.goes(index, port))
	}
	return made
}

// toAny are the destinations that leave by an interface, wherever they came from.
func (w *world) toAny(out int) set {
	made := none()
	for l, s := range w.leads {
		if l.out == out {
			made = made.or(s)
		}
	}
	return made
}

// inward and outward are the interfaces by which packets come and leave, in order.
func (w *world) inward() []int { return slices.Sorted(maps.Keys(w.enters)) }

func (w *world) outward() []int {
	made := map[int]bool{}
	for l := range w.leads {
		made[l.out] = true
	}
	return slices.Sorted(maps.Keys(made))
}

// ownOf are the addresses of the node that count for what comes in by a VRF: its ports', and those that are of none.
func (w *world) ownOf(vrf int) set {
	return w.addrsOf(func(link int) bool { of := w.vrfOf(link); return of == 0 || of == vrf })
}

// addrsOf are the node's addresses at some of its links.
func (w *world) addrsOf(some func(link int) bool) set {
	made := none()
	for _, a := range w.state.Addrs {
		if a.Prefix.Addr().Is6() == w.v6 && some(a.Index) {
			n := addrNumber(a.Prefix.Addr())
			made = append(made, span{n, n})
		}
	}
	return made.tidy()
}

// atPorts are packets of which a VRF's port keeps what it has: it finds neighbours, and not the VRF.
func (w *world) atPorts() (boxes []box) {
	for _, in := range w.inward() {
		if w.v6 && w.isVRF(in) {
			const first, last = 133, 137 // router solicitation to redirect (RFC 4861)
			boxes = append(boxes, box{fieldIn: one(in), fieldProto: just(protoICMPv6), fieldType: between(small(first), small(last))})
		}
	}
	return boxes
}
