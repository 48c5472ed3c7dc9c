package probes

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// A program may bind its socket to a device (SO_BINDTODEVICE, which needs no privilege
// since Linux 5.7; ping -I), and so choose a route that the kernel would not take: one of a
// higher metric, that of a rule of policy routing for the device (ip rule oif), or none at
// all: IPv4 takes the target for a neighbour on that link then. IPv6 passes over routes that
// reject, which are lo's, for a bound socket, but not in a lookup that has a source
// (ip6_route_output_flags, net/ipv6/route.c).

// boundPairs are the pairs at which a socket bound to a device leaves another way than one
// that is not. They do not decide: nothing is to be delivered there.
// Of those by no route see likely.
func (b *binding) boundPairs(ns inspect.Namespace, links []inspect.Link, own, targets []liveAddr) (pairs []pair, err error) {
	links = slices.DeleteFunc(slices.Clone(links), func(l inspect.Link) bool {
		return !l.Up || l.Kind == "dummy" || l.Flags&unix.IFF_LOOPBACK != 0
	})
	var questions []inspect.Question
	for _, target := range targets {
		if !target.addr.IsLinkLocalUnicast() && !isOwn(own, target.addr) { // the zone of that is a device
			questions = append(questions, b.questionsFrom(own, target.addr, links)...)
		}
	}
	answers, err := ns.Lookups(questions...)
	if err != nil {
		return nil, fmt.Errorf("look up routes: %w", err)
	}
	for at := 0; at < len(questions); at += 1 + len(links) {
		for i, link := range links {
			pairs = b.pair(questions[at], answers[at], answers[at+1+i], link.Name, own, pairs)
		}
	}
	return pairs, nil
}

// questionsFrom are lookups for what is sent to an address: without a source, and from each
// that the asker has; for each of these by the kernel's choice, and then by each link.
func (b *binding) questionsFrom(own []liveAddr, to netip.Addr, links []inspect.Link) (questions []inspect.Question) {
	sources := []netip.Addr{{}}
	for _, l := range own {
		if l.addr.Is6() == to.Is6() && !l.addr.IsLinkLocalUnicast() {
			sources = append(sources, l.addr)
		}
	}
	for _, source := range sources {
		q := b.leads.ask(inspect.Question{From: source, To: to})
		questions = append(questions, q)
		for _, link := range links {
			q.Out = link.Index
			questions = append(questions, q)
		}
	}
	return questions
}

func isOwn(own []liveAddr, addr netip.Addr) bool {
	return slices.ContainsFunc(own, func(l liveAddr) bool { return l.addr == addr })
}

// binding is an asker whose devices are tried.
type binding struct {
	from    *harness.Node
	leads   source // what of the probe's source its way depends on
	assumed []pair // by no route
}

// pair adds that of a link, unless it is no other way than the kernel's choice.
func (b *binding) pair(q inspect.Question, free, bound inspect.Lookup, device string, own []liveAddr, all []pair) []pair {
	p := pair{source: q.From, device: device, to: q.To, aside: true}
	switch {
	case bound.Errno != 0, bound == free:
		return all // no way, or the same
	case !q.From.IsValid() && isOwn(own, bound.From) && (free.Errno == 0 || !q.To.Is6()):
		return all // it is one of those that follow
	case bound.Table == 0 && !q.To.Is6():
		b.assumed = append(b.assumed, p)
		return all
	}
	return append(all, p)
}

// likely adds those by no route where somebody on the link may take the packet, to whom the
// asker sends it without a MAC, or who answers for the address. To ask the others would be
// to wait for nobody.
func (b *binding) likely(all []pair) ([]pair, error) {
	type way struct {
		device string
		to     netip.Addr
	}
	known := map[way]bool{}
	for _, p := range b.assumed {
		w := way{p.device, p.to}
		is, looked := known[w]
		if !looked {
			var err error
			if is, err = b.mayTake(p.device, p.to); err != nil {
				return nil, err
			}
			known[w] = is
		}
		if is {
			all = append(all, p)
		}
	}
	return all, nil
}

// mayTake says whether somebody on a device's link may take what is sent to an address there.
func (b *binding) mayTake(device string, to netip.Addr) (bool, error) {
	port, planned := portOf(b.from, device)
	if !planned || b.from.Attached() {
		return true, nil // it is not known who is there
	}
	link, err := b.from.Netlink().LinkByName(device)
	if err != nil {
		return false, fmt.Errorf("node %s: %w", b.from, err)
	}
	entries, err := b.from.Netlink().NeighList(link.Attrs().Index, unix.AF_INET)
	if err != nil {
		return false, fmt.Errorf("node %s: list neighbours: %w", b.from, err)
	}
	for _, n := range entries {
		if addr, ok := netip.AddrFromSlice(n.IP); ok && addr.Unmap() == to && len(n.HardwareAddr) > 0 {
			return true, nil
		}
	}
	segment, _ := b.from.Lab().Plan().Segment(port.Segment)
	for _, other := range segment.Ports {
		if other.Node == b.from.Name() {
			continue
		}
		node := b.from.Lab().Node(other.Node)
		if theirs, _ := portOf(node, other.Port); len(theirs.Addrs) == 0 {
			return true, nil // it may be a bridge's, to others
		}
		if is, err := speaksFor(node, other.Port, to); err != nil || is {
			return is, err
		}
	}
	return false, nil
}

// speaksFor says whether a node answers ARP for an address on a device: for its own, and as a
// proxy (arp_process, net/ipv4/arp.c).
func speaksFor(node *harness.Node, device string, to netip.Addr) (bool, error) {
	is, err := answersFor(node, to)
	if err != nil || is {
		return is, err
	}
	for _, of := range []string{"all", device} {
		for _, key := range []string{"proxy_arp", "proxy_arp_pvlan"} {
			value, err := node.Sysctl("net/ipv4/conf/" + of + "/" + key) // a name may have dots
			if err != nil {
				return false, fmt.Errorf("node %s: %w", node, err)
			}
			if value != "0" {
				return true, nil
			}
		}
	}
	proxies, err := node.Netlink().NeighProxyList(0, unix.AF_INET)
	if err != nil {
		return false, fmt.Errorf("node %s: list the neighbours that it speaks for: %w", node, err)
	}
	return len(proxies) > 0, nil
}
