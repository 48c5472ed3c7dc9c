package policy

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// world is what routing makes of packets at the node, in one family: what a lab can send through
// each hook as it stands, and what a kernel can have there at all.
type world struct {
	*model
	state  *inspect.State
	enters map[int]bool // the interfaces at which packets can be sent in
	takes  map[int]set  // the sources that some take alone
	leads  map[exit]set // the destinations that leave by each
	own    set          // the node's addresses
	met    map[*inspect.Chain][]box
}

func newWorld(m *model, state *inspect.State, k *kernel, others []netip.Addr) *world {
	w := &world{model: m, state: state, enters: k.enters(state.Links), takes: k.takes(m.v6), leads: map[exit]set{}, met: map[*inspect.Chain][]box{}}
	w.own = w.addrsOf(func(int) bool { return true })
	w.route()
	for _, a := range others {
		if a.Is6() == m.v6 {
			m.addrs = append(m.addrs, addrNumber(a))
		}
	}
	return w
}

// routesOf are those of a table, in the order in which they are asked.
func routesOf(all []inspect.Route, table int, v6 bool) (routes []inspect.Route) {
	for _, r := range all {
		if r.To.Addr().Is6() == v6 && r.Table == table {
			routes = append(routes, r)
		}
	}
	slices.SortStableFunc(routes, func(a, b inspect.Route) int {
		if a.To.Bits() != b.To.Bits() {
			return b.To.Bits() - a.To.Bits()
		}
		return a.Metric - b.Metric
	})
	return routes
}

// linkLocal are IPv6's addresses of one link alone.
func linkLocal(v6 bool) set {
	if !v6 {
		return none()
	}
	return prefixes("fe80::/10")
}

func hops(r inspect.Route) (indices []int) {
	for _, h := range r.Hops {
		indices = append(indices, h.Index)
	}
	return indices
}

// never are the addresses that no packet has on its way from one interface to another: as a
// source, or as a destination (ip_route_input_slow, ip6_rcv_core, ip6_forward).
func (w *world) never(source bool) set {
	switch {
	case w.v6 && source:
		return prefixes("::/127", "ff00::/8", "fe80::/10")
	case w.v6:
		return prefixes("::1/128", "ff00::/8")
	}
	return prefixes("0.0.0.0/32", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32")
}

// plainly says whether the node forwards as most do: no bridge hands its frames to IP's hooks, nobody forwards
// multicast or loopback addresses, no rule writes to headers, and there is no VRF.
func (w *world) plainly() bool {
	is := func(kind string) bool {
		return slices.ContainsFunc(w.links, func(l inspect.Link) bool { return l.Kind == kind })
	}
	for key, value := range w.state.Sysctls {
		bridged := strings.HasPrefix(key, "net/bridge/") && !is("bridge")
		if value != "" && value != "0" && !bridged && !slices.Contains(forwarding, key) {
			return false
		}
	}
	return !w.effects.Writes && !is("vrf")
}

// loopback is what a node has for itself.
func (w *world) loopback() set {
	if w.v6 {
		return prefixes("::1/128")
	}
	return prefixes("127.0.0.0/8")
}

func one(index int) set { return just(uint64(index)) }

// lo is the index of a namespace's own interface.
const lo = 1

// forwards says whether the node hands packets on.
func (w *world) forwards() bool {
	key := "net/ipv4/ip_forward"
	if w.v6 {
		key = "net/ipv6/conf/all/forwarding"
	}
	return w.state.Sysctls[key] != "0"
}

// forwarding are the sysctls by which a node hands packets on.
var forwarding = []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"}

// sysctls are those that the world is to know. Of all but forwarding, 0 is what most have.
func sysctls(links []inspect.Link) []string {
	all := append([]string{"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables", "net/ipv6/conf/all/mc_forwarding"}, forwarding...)
	for _, name := range append([]string{"all"}, names(links)...) {
		all = append(all, "net/ipv4/conf/"+name+"/route_localnet", "net/ipv4/conf/"+name+"/mc_forwarding")
	}
	return all
}

func names(links []inspect.Link) (all []string) {
	for _, l := range links {
		all = append(all, l.Name)
	}
	return all
}

// reach are the packets that can be had at a hook, as the lab is.
func (w *world) reach(hook string) (boxes []box) {
	switch hook {
	case "forward":
		boxes = w.forwarded()
	case "input":
		boxes = w.delivered()
	case "output":
		boxes = w.sent()
	case "prerouting":
		for _, b := range slices.Concat(w.forwarded(), w.delivered()) {
			b[fieldOut] = one(0)
			for _, in := range w.firstIn(b[fieldIn]) {
				b[fieldIn] = one(in)
				boxes = append(boxes, b)
			}
		}
	case "postrouting":
		boxes = slices.Concat(w.forwarded(), w.sent())
	}
	return w.plain(boxes)
}

// reachOf are those that a base chain meets, which each rule asks for: nobody writes to them. NAT has settled what the node sends
// to itself before that comes in.
func (w *world) reachOf(base *inspect.Chain) []box {
	boxes, known := w.met[base]
	if !known {
		boxes = w.reach(base.Hook)
		if base.Type == "nat" && base.Hook == "prerouting" {
			boxes = slices.DeleteFunc(boxes, func(b box) bool { return b[fieldIn].has(small(lo)) })
		}
		w.met[base] = boxes
	}
	return boxes
}

// plain adds what all have: first whole packets, then those that end too soon.
func (w *world) plain(boxes []box) (all []box) {
	for _, head := range []set{just(headWhole), just(headNone, headPorts)} {
		for _, b := range boxes {
			if b[fieldMark] = w.marks; !w.effects.Marks {
				b[fieldMark] = just(0)
			}
			b[fieldHead] = head
			b[fieldTTL] = ttls(&b)
			if !b.isEmpty() {
				all = append(all, b)
			}
		}
	}
	return all
}

// ttls are those that packets have at a hook: who forwards has taken one away.
func ttls(b *box) set {
	most := uint64(0xff)
	if !b[fieldIn].has(small(0)) && !b[fieldOut].has(small(0)) {
		most--
	}
	return between(small(1), small(most))
}

func (w *world) forwarded() (boxes []box) {
	if !w.forwards() {
		return nil
	}
	for _, near := range []bool{true, false} { // from who is at the link first
		for _, in := range w.inward() {
			strange := w.strangers(in).without(linkLocal(w.v6))
			for _, out := range w.outward() {
				b := box{fieldIn: one(in), fieldOut: one(out), fieldDst: w.goes(in, out).without(linkLocal(w.v6)), fieldSrc: strange}
				at := w.to(in)
				if w.isVRF(in) { // by whose other ports they come
					at = at.without(b[fieldDst])
				}
				if near {
					b[fieldSrc] = at.and(strange)
				} else {
					b[fieldSrc] = strange.without(at)
				}
				if in == out {
					continue
				}
				boxes = append(boxes, b)
			}
		}
	}
	for _, in := range w.inward() { // and back where it came from
		boxes = append(boxes, box{fieldIn: one(in), fieldOut: one(in), fieldDst: w.to(in), fieldSrc: w.strangers(in).without(linkLocal(w.v6))})
	}
	return boxes
}

// strangers are the sources of what may come in to the node by an interface: also those that count on a link alone.
func (w *world) strangers(in int) set {
	all := w.domain[fieldSrc].without(w.own.or(w.never(true))).or(linkLocal(w.v6).without(w.own))
	if some, chooses := w.takes[in]; chooses {
		return all.and(some)
	}
	return all
}

func (w *world) delivered() (boxes []box) {
	for _, near := range []bool{true, false} {
		for _, in := range w.inward() {
			strange := w.strangers(in)
			b := box{fieldIn: one(in), fieldOut: one(0), fieldDst: w.here(in), fieldSrc: strange.without(w.to(in))}
			if near {
				b[fieldSrc] = w.to(in).and(strange)
			}
			boxes = append(boxes, b)
		}
	}
	for _, in := range w.inward() {
		boxes = append(boxes, box{fieldIn: one(in), fieldOut: one(0), fieldDst: w.toAll(in), fieldSrc: w.to(in).and(w.strangers(in))})
	}
	return append(boxes, box{fieldIn: one(lo), fieldOut: one(0), fieldSrc: w.ownOf(0), fieldDst: w.ownOf(0)})
}

// here are the node's addresses for which packets may come in by an interface: a link's own counts there alone.
func (w *world) here(in int) set {
	others := w.loopback()
	for _, a := range w.state.Addrs {
		if addr := a.Prefix.Addr(); addr.IsLinkLocalUnicast() && addr.Is6() && a.Index != in {
			others = others.or(set{{addrNumber(addr), addrNumber(addr)}})
		}
	}
	for _, a := range w.state.Addrs { // unless the link has it as well
		if addr := a.Prefix.Addr(); a.Index == in {
			others = others.without(set{{addrNumber(addr), addrNumber(addr)}})
		}
	}
	return w.ownOf(w.vrfOf(in)).without(others)
}

// toAll are the addresses by which everybody at an interface's link is meant; a VRF is none.
func (w *world) toAll(in int) set {
	if w.isVRF(in) {
		return none()
	}
	if w.v6 {
		return prefixes("ff02::1/128")
	}
	made := prefixes("224.0.0.1/32")
	for _, r := range w.state.Routes {
		if r.Type == unix.RTN_BROADCAST && r.Index == in {
			made = made.or(prefixSet(r.To))
		}
	}
	return made
}

func (w *world) sent() (boxes []box) {
	for _, out := range w.outward() {
		boxes = append(boxes, box{fieldIn: one(0), fieldOut: one(out), fieldSrc: w.ownOf(0).without(w.loopback()), fieldDst: w.goes(0, out)})
	}
	return append(boxes, box{fieldIn: one(0), fieldOut: one(lo), fieldSrc: w.ownOf(0), fieldDst: w.ownOf(0)})
}

// ever are all packets that a kernel may have at a hook, whatever its routes and addresses.
func (w *world) ever(hook string) []box {
	no, devices := one(0), w.domain[fieldIn].without(one(0))
	var boxes []box
	switch {
	case !w.plainly():
		return []box{{}}
	case hook == "forward":
		boxes = w.everForwarded(devices)
	case hook == "input":
		boxes = []box{{fieldIn: devices, fieldOut: no}}
	case hook == "output":
		boxes = []box{{fieldIn: no, fieldOut: devices}}
	case hook == "prerouting":
		boxes = []box{{fieldIn: devices, fieldOut: no}}
	default:
		boxes = []box{{}}
	}
	return boxes
}

// everForwarded are all packets that a kernel may hand on. Of what it sends back where it came from
// IPv6 takes a source that counts on that link alone, or none (ip6_forward). A route by lo leads there, and what comes in
// there may be sent on.
func (w *world) everForwarded(devices set) (boxes []box) {
	to := w.domain[fieldDst].without(w.never(false))
	boxes = []box{{fieldIn: devices, fieldOut: devices, fieldSrc: w.domain[fieldSrc].without(w.never(true)), fieldDst: to}}
	for _, l := range w.links {
		if own := one(l.Index); w.v6 {
			boxes = append(boxes, box{fieldIn: own, fieldOut: own, fieldSrc: linkLocal(true).or(just(0)), fieldDst: to})
		}
	}
	for i := range boxes {
		boxes[i][fieldTTL] = ttls(&boxes[i])
	}
	return boxes
}
