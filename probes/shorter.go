package probes

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

// shorterWay sends a request once more where a node that it came by was to send it back by the
// link that it came in by: straight to who is next on that link. Before its rules see the packet
// forwarded, such a node tells who sent it of the shorter way (an ICMP redirect: ip_forward,
// net/ipv4/ip_forward.c; ip6_forward, net/ipv6/ip6_output.c), and who takes redirects sends
// there what follows, once it has the MAC of who is next.
func (m *IsolationMatcher) shorterWay(q question, c *recall, f *finding) ([]finding, error) {
	if f.from == nil || f.Probe.kind.framed == nil || f.Outcome == Answered {
		return nil, nil
	}
	sent, came, at := f.firstHop()
	if at < 0 {
		return nil, nil
	}
	node := nodeNamed(f.from.Lab(), came.Node)
	if node == nil || node.Alone() {
		return nil, nil
	}
	routing, err := c.routingOf(node)
	if err != nil {
		return nil, err
	}
	next, back := routing.sendsBack(questionOf(f, node, at), came)
	if !back {
		return nil, nil
	}
	takes, err := takesShorter(f.from, sent.Interface, questionOf(f, f.from, -1), next)
	if err != nil || !takes {
		return nil, err
	}
	straight, ok := f.straight(sent.Index, next)
	if !ok {
		return nil, nil
	}
	results, err := sendFrames(m.ctx, q.to, []*finding{f}, []*frame{straight})
	if err != nil || !results[0].gotThrough() {
		return nil, err
	}
	f.leaks = objection{
		fmt.Sprintf("%s; but %s tells %s of a shorter way, by %s on %s (ICMP redirect), which %s takes: the next request arrives", endOf(f.Result), node, f.from, next, sent.Interface, f.from),
		fmt.Sprintf("stop the request on that way as well, or set accept_redirects=0 at %s", f.from),
	}
	f.Timeline = append(f.Timeline, results[0].Timeline...)
	return nil, nil
}

// firstHop is where the asker sent the request, and where that came in first, as the timeline has
// it, with its place there: -1 where it was not seen, or was sent to another address.
func (f *finding) firstHop() (sent, came evidence.Sighting, at int) {
	out := slices.IndexFunc(f.Timeline, func(s evidence.Sighting) bool {
		return s.Role == evidence.Request && s.Direction == evidence.Out && s.Node == f.from.Name() && s.Index != 0
	})
	at = slices.IndexFunc(f.Timeline, func(s evidence.Sighting) bool {
		return s.Role == evidence.Request && s.Direction == evidence.In && s.Node != f.from.Name() && !s.Foreign
	})
	if out < 0 || at < 0 || f.Timeline[at].Destination != f.Addr.WithZone("") {
		return sent, came, -1
	}
	return f.Timeline[out], f.Timeline[at], at
}

// straight is a frame with the finding's request, from the asker to somebody on one of its links;
// false where that one's MAC is not known.
func (f *finding) straight(index int, next netip.Addr) (*frame, bool) {
	sent, _, at := f.firstHop()
	if at < 0 {
		return nil, false
	}
	frame := &frame{node: f.from, index: index, from: sent.Source, ttl: f.Probe.source.hops(), tos: f.Probe.source.tos(), next: next}
	link := sent.Interface
	if index != sent.Index {
		var err error
		if link, err = linkAt(f.from, index); err != nil {
			return nil, false
		}
	}
	return frame, frame.know(link)
}

// linkAt is the name of a node's interface.
func linkAt(node *harness.Node, index int) (name string, err error) {
	err = look(node, func(inspect.Namespace) error {
		link, err := net.InterfaceByIndex(index)
		if err == nil {
			name = link.Name
		}
		return err
	})
	return name, err
}

// nextHop is whom the asker's kernel hands the finding's request to.
func (f *finding) nextHop() (next netip.Addr, ok bool) {
	q := questionOf(f, f.from, -1)
	err := look(f.from, func(ns inspect.Namespace) error {
		way, err := ns.Lookup(q)
		next, ok = way.Next(q.To), err == nil && way.Errno == 0
		return err
	})
	return next, ok && err == nil
}

// nodeNamed is a lab's node of a name; nil where it has none.
func nodeNamed(lab *harness.Lab, name string) *harness.Node {
	for _, node := range lab.Nodes() {
		if node.Name() == name {
			return node
		}
	}
	return nil
}

// sendsBack says whether a node's routes lead a request back by the link that it came in by, and
// to whom.
func (r *routing) sendsBack(q inspect.Question, came evidence.Sighting) (next netip.Addr, back bool) {
	d, ok := r.Decide(q)
	if !ok || d.Route == nil || d.Errno() != 0 || d.Route.Index != came.Index || d.Route.Via.IsValid() && d.Route.Via.Is6() != q.To.Is6() {
		return next, false
	}
	if d.Route.Via.IsValid() {
		return d.Route.Via, true
	}
	return q.To, true
}

// takesShorter says whether a node was told of a shorter way and takes it: its routes have it
// already; or, over IPv4, it accepts what it is told, and has it once it knows the MAC of who is next
// (__ip_do_redirect, net/ipv4/route.c).
func takesShorter(node *harness.Node, link string, q inspect.Question, next netip.Addr) (takes bool, err error) {
	err = look(node, func(ns inspect.Namespace) error {
		counted, err := kernelCounts()
		if err != nil || counted["Icmp.InRedirects"]+counted["Icmp6.InRedirects"] == 0 {
			return err
		}
		way, err := ns.Lookup(q)
		if takes = err == nil && way.Next(q.To) == next; err != nil || takes || q.To.Is6() {
			return err
		}
		is := func(key string) bool {
			value, _ := node.Sysctl("net/ipv4/conf/" + key)
			return value != "0"
		}
		all, own := is("all/accept_redirects"), is(link+"/accept_redirects")
		takes = all && own || !is(link+"/forwarding") && (all || own) // ip-sysctl.rst
		return nil
	})
	return takes, err
}
