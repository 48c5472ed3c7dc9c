package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
)

// Option is a choice of Of: a Zone.
type Option struct{ zone zone }

// Zone gives addresses a name of their own, as prefixes or single addresses: who is there is told apart from the others
// behind the same interface. An address belongs to the first zone that has it.
func Zone(name string, prefixes ...string) Option {
	z := zone{name: name}
	for _, text := range prefixes {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(text); err == nil {
				p = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if err != nil {
			z.wrong = fmt.Sprintf("%q is no address and no prefix: write it like 10.0.1.0/28", text)
		}
		z.prefixes = append(z.prefixes, p)
	}
	return Option{z}
}

// zone is a name for who is behind an interface, or for addresses, or for the node itself.
type zone struct {
	name     string
	index    int  // of the interface, 0 for addresses and the node
	own      bool // the node itself
	prefixes []netip.Prefix
	wrong    string
}

// zonesOf are the node's zones: those that have names first, then the interfaces, then the node. A port of a bridge, a bond
// or a VRF is none: packets come in by that; nor is what the kernel makes by itself where a kind of tunnel is known (gre0), which is down.
func zonesOf(node *harness.Node, links []inspect.Link, options []Option) (all []zone, err error) {
	for _, o := range options {
		all = append(all, o.zone)
	}
	plan, _ := node.Lab().Plan().Node(node.Name())
	for _, l := range links {
		if _, planned := plan.Device(l.Name); l.Index != lo && l.Master == 0 && (l.Up || planned) {
			all = append(all, zone{name: l.Name, index: l.Index})
		}
	}
	all = append(all, zone{name: node.Name(), own: true})
	for i, z := range all {
		switch {
		case z.wrong != "":
			return nil, fmt.Errorf("zone %s: %s", z.name, z.wrong)
		case strings.TrimSpace(z.name) == "":
			return nil, fmt.Errorf("zone %q has no name: give it one", z.name)
		case slices.ContainsFunc(all[:i], func(o zone) bool { return o.name == z.name && len(o.prefixes) > 0 }):
			return nil, fmt.Errorf("zone %s: there is another zone, an interface or the node of this name: call it otherwise", z.name)
		case z.index == 0 && !z.own && len(z.prefixes) == 0:
			return nil, fmt.Errorf("zone %s has no addresses: name at least one prefix", z.name)
		}
	}
	return all, nil
}

// among are the addresses of a family that are a zone's and of none before it.
func among(zones []zone, at int, v6 bool) set {
	return zones[at].addrs(v6).without(named(zones[:at], v6))
}

// named are the addresses of a family that have a zone of their own.
func named(zones []zone, v6 bool) set {
	made := none()
	for i := range zones {
		made = made.or(zones[i].addrs(v6))
	}
	return made
}

// addrs are the addresses of a family that a zone names.
func (z *zone) addrs(v6 bool) set {
	made := none()
	for _, p := range z.prefixes {
		if p.Addr().Is6() == v6 {
			made = append(made, prefixSet(p)...)
		}
	}
	return made.tidy()
}

// side is an interface, and who is behind it.
type side struct {
	index int
	addrs set
}

// senders are from where packets of a zone come, and with which sources: by an interface comes whatever
// claims to be somebody, but those that are there and have a zone of their own.
func (w *world) senders(zones []zone, at int) (sides []side) {
	z := zones[at]
	for _, in := range w.inward() {
		addrs, strange := none(), w.strangers(in)
		switch {
		case z.index == in:
			addrs = strange.without(w.to(in).and(named(zones, w.v6)))
		case len(z.prefixes) > 0:
			addrs = w.to(in).and(among(zones, at, w.v6)).and(strange)
		}
		if !addrs.isEmpty() {
			sides = append(sides, side{in, addrs})
		}
	}
	return sides
}

// receivers are where packets for a zone go, and to which destinations.
func (w *world) receivers(zones []zone, at int) (sides []side) {
	z := zones[at]
	for _, out := range w.outward() {
		addrs := none()
		switch {
		case z.index == out, z.index != 0 && z.index == w.vrfOf(out):
			addrs = w.toAny(out).without(named(zones, w.v6))
		case len(z.prefixes) > 0:
			addrs = w.toAny(out).and(among(zones, at, w.v6))
		}
		if !addrs.isEmpty() {
			sides = append(sides, side{out, addrs})
		}
	}
	return sides
}

// between are the packets from one zone to another.
func (w *world) between(zones []zone, from, to int) (boxes []box) {
	switch {
	case zones[from].own && zones[to].own:
		boxes = append(boxes, box{fieldIn: one(lo), fieldOut: one(0), fieldSrc: w.ownOf(0), fieldDst: w.ownOf(0)})
	case zones[from].own:
		for _, s := range w.receivers(zones, to) {
			boxes = append(boxes, box{fieldIn: one(0), fieldOut: one(s.index), fieldSrc: w.ownOf(0).without(w.loopback()), fieldDst: s.addrs.and(w.goes(0, s.index))})
		}
	case zones[to].own:
		for _, s := range w.senders(zones, from) {
			boxes = append(boxes,
				box{fieldIn: one(s.index), fieldOut: one(0), fieldSrc: s.addrs, fieldDst: w.here(s.index)},
				box{fieldIn: one(s.index), fieldOut: one(0), fieldSrc: s.addrs.and(w.to(s.index)), fieldDst: w.toAll(s.index)})
		}
	case w.forwards():
		for _, s := range w.senders(zones, from) {
			for _, r := range w.receivers(zones, to) {
				boxes = append(boxes, box{
					fieldIn: one(s.index), fieldOut: one(r.index),
					fieldSrc: s.addrs.without(linkLocal(w.v6)), fieldDst: r.addrs.and(w.goes(s.index, r.index)).without(linkLocal(w.v6)),
				})
			}
		}
	}
	return slices.DeleteFunc(boxes, func(b box) bool { return b.isEmpty() })
}

// hull is the smallest box around boxes, with what all packets have; outside are the packets in it of none of them.
func (w *world) hull(boxes []box) (around box, outside []box) {
	around = w.domain
	for _, f := range []field{fieldIn, fieldOut, fieldSrc, fieldDst} {
		around[f] = none()
		for i := range boxes {
			around[f] = around[f].or(boxes[i][f])
		}
	}
	switch {
	case !w.effects.Marks || !around[fieldIn].has(small(0)): // what comes in by a link has none yet
		around[fieldMark] = just(0)
	case w.marks != nil:
		around[fieldMark] = w.marks
	}
	switch {
	case !w.effects.Tracks && !w.effects.Translates:
		around[fieldState] = just(stateNew)
	case !w.v6 && !w.effects.Untracks: // of IPv6, what finds neighbours is not tracked
		around[fieldState] = around[fieldState].without(just(stateUntracked))
	}
	around[fieldTTL] = ttls(&around)
	return around, w.less([]box{around}, boxes)
}
