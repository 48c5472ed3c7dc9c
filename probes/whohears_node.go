package probes

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

// prefixesAt are the addresses that an interface of a node has now.
func prefixesAt(node *harness.Node, link string) (prefixes []netip.Prefix, err error) {
	err = read(node, func(ns inspect.Namespace, links []inspect.Link) error {
		e := ears{State: inspect.State{Links: links}}
		e.Addrs, err = ns.Addrs()
		prefixes = e.at(link)
		return err
	})
	return prefixes, err
}

// ears are what decides about what comes to a node for several.
type ears struct {
	inspect.State
	groups []inspect.Group
	taken  // read last
}

// at are the addresses of an interface.
func (e *ears) at(link string) (prefixes []netip.Prefix) {
	for _, a := range e.Addrs {
		if e.Link(a.Index).Name == link {
			prefixes = append(prefixes, a.Prefix)
		}
	}
	return prefixes
}

// earsOf reads those of a node, with its sockets for a probe, and its groups.
func earsOf(node *harness.Node, p Probe) (e ears, err error) {
	err = read(node, func(ns inspect.Namespace, links []inspect.Link) error {
		e.Links = links
		if e.Addrs, err = ns.Addrs(); err != nil {
			return fmt.Errorf("list addresses: %w", err)
		}
		if err := ns.Do(func() (err error) {
			e.groups, err = inspect.Groups()
			return err
		}); err != nil {
			return err
		}
		e.taken, err = takenOf(ns, p)
		return err
	})
	return e, err
}

// joined says whether a node takes what is sent to an address in at an interface.
func (e *ears) joined(to netip.Addr, link string) bool {
	if _, has := e.Addr(to); has {
		return true
	}
	if to.IsMulticast() {
		return slices.Contains(e.groups, inspect.Group{Interface: link, Addr: to})
	}
	prefixes := slices.DeleteFunc(e.at(link), func(p netip.Prefix) bool { return p.Addr().Is6() })
	return to == everybody || slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return broadcastOf(p) == to })
}

// of puts a node where it belongs.
func (h *hearing) of(node *harness.Node) error {
	label := h.watch.Label(node)
	link, on := endOnLink(h.from, h.Interface, node)
	came := slices.IndexFunc(h.Result.Timeline, func(s evidence.Sighting) bool {
		return s.Node == label && s.Role == evidence.Request && s.Direction == evidence.In && !s.Foreign && s.Interface != ""
	})
	if !on && came < 0 {
		return nil
	}
	e, err := earsOf(node, h.Probe)
	if err != nil {
		return err
	}
	to, by := netip.AddrPortFrom(h.Addr, h.Probe.port), fmt.Stringer(nil)
	if came >= 0 {
		link = h.Result.Timeline[came].Interface
		if to, by, err = landed(node, h.Result.Timeline[came]); err != nil {
			return err
		}
	}
	if at := e.LinkNamed(link); at.Master != 0 && e.Link(at.Master).Kind == "bridge" {
		link = e.Link(at.Master).Name // which has the addresses of its ports
	}
	m := Missed{Node: label}
	switch s, dropped := h.dropped(label); {
	case dropped:
		m.by(s)
	case by != nil:
		m.At, m.Why = label, fmt.Sprintf("it came to it, and %s gives it another destination", by)
	case !e.joined(to.Addr(), link):
		m.Why = h.notIn(link, to.Addr())
	case came < 0:
		m.Why = h.absent(&m, e, link)
	default:
		if m.Why = h.unread(e, label, link, to); m.Why == "" {
			m.Why = h.untaken(e.taken, h.before[node], to.Port())
		}
		if m.Why == "" {
			h.Heard = append(h.Heard, Hearer{Node: label, Interface: link, Answered: h.answered(label)})
			return nil
		}
		m.At = label
	}
	h.Missed = append(h.Missed, m)
	return nil
}

// notIn says that a node does not take what is sent to the address.
func (h *hearing) notIn(link string, to netip.Addr) string {
	if to != h.Addr {
		return fmt.Sprintf("a rule has it sent to %s, which it has not got", to)
	}
	if h.Addr.IsMulticast() {
		return fmt.Sprintf("it is not in the group %s at %s", h.Addr, link)
	}
	return fmt.Sprintf("%s is no broadcast address of its at %s", h.Addr, link)
}

// dropped is the datagram, or its copy, in the hands of a node's rule that dropped it.
func (h *hearing) dropped(label string) (evidence.Sighting, bool) {
	at := slices.IndexFunc(h.Result.Timeline, func(s evidence.Sighting) bool {
		return s.Node == label && s.Role == evidence.Request && s.Dropped()
	})
	if at < 0 {
		return evidence.Sighting{}, false
	}
	return h.Result.Timeline[at], true
}

func (m *Missed) by(s evidence.Sighting) {
	m.At, m.Rule, m.Why = s.Node, s.Rule, fmt.Sprintf("dropped at %s by %s", s.Node, s.Rule)
}

// answered says whether an answer was seen to leave a node first.
func (h *hearing) answered(label string) bool {
	return slices.ContainsFunc(h.Result.Timeline, func(s evidence.Sighting) bool {
		return s.Node == label && s.Role == evidence.Answer && s.Direction == evidence.Out
	})
}

// unread says why no socket of a node that it came to has it; "" where one has.
func (h *hearing) unread(e ears, label, link string, to netip.AddrPort) string {
	if to.Addr() == h.Addr && h.ended(label) {
		return "it came to it, and its kernel did not take it"
	}
	in, others := e.LinkNamed(link).Index, 0
	var elsewhere []inspect.Listener
	for _, l := range e.sockets {
		switch {
		case l.Port != to.Port():
		case to.Addr() == allHosts && l.Addr.Is6():
			others++ // which a socket of IPv6 has not joined as the kernel has
		case e.Takes(l, to.Addr(), in):
			return ""
		default:
			elsewhere = append(elsewhere, l)
		}
	}
	if only := e.Only(elsewhere...); only != "" {
		return fmt.Sprintf("port %d %s", to.Port(), only)
	}
	if others > 0 {
		return fmt.Sprintf("port %d is a socket of IPv6, which takes what is sent to %s only if it joins that group", to.Port(), to.Addr())
	}
	return fmt.Sprintf("nobody there has port %d", to.Port())
}

// ended says whether a node's kernel took neither the datagram nor a copy.
func (h *hearing) ended(label string) (is bool) {
	for _, p := range h.Result.Packets {
		if p.Role == evidence.Request && p.Node == label {
			if p.Fate != evidence.Ended {
				return false
			}
			is = true
		}
	}
	return is
}

// absent says why it did not come to a node that would take it.
func (h *hearing) absent(m *Missed, e ears, link string) string {
	if at := e.LinkNamed(link); !at.Up {
		return fmt.Sprintf("its interface %s is down", link)
	}
	if c := h.Result.Cause; c != nil && c.Rule == nil && c.Node == h.watch.Label(h.from) && h.Result.Outcome == Unsent {
		m.At = c.Node
		return c.String()
	}
	for _, s := range h.Result.Timeline {
		if node := h.watch.Node(s.Node); s.Role == evidence.Request && s.Dropped() && node != nil && h.between(node) {
			m.by(s)
			return m.Why
		}
	}
	if bridge := h.snooping(); bridge != "" {
		m.At = bridge
		return fmt.Sprintf("it did not come to it: %s does multicast snooping, and may not know of it", bridge)
	}
	return "it did not come to it"
}

// between says whether a node may have handed it on, or sent it: it asked, or bridges, or routes.
func (h *hearing) between(node *harness.Node) bool {
	if node == h.from {
		return true
	}
	plan, _ := node.Lab().Plan().Node(node.Name())
	return plan != nil && len(plan.Ports) > 1
}

// snoops is a node that it came to whose bridge does multicast snooping; "" for none.
func (h *hearing) snoops() string {
	if !h.Addr.IsMulticast() {
		return ""
	}
	for _, s := range h.Result.Timeline {
		node, snoops := h.watch.Node(s.Node), false
		if node == nil || s.Role != evidence.Request || s.Direction != evidence.In {
			continue
		}
		err := read(node, func(_ inspect.Namespace, links []inspect.Link) error {
			snoops = slices.ContainsFunc(links, func(l inspect.Link) bool { return l.Snoops })
			return nil
		})
		if err == nil && snoops {
			return s.Node
		}
	}
	return ""
}
