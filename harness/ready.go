package harness

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/nstest/nstest/harness/internal/device"
	"github.com/nstest/nstest/topo"
)

// ready returns when a first packet will pass on every link.
//
// A link's carrier is known to the kernel at once, but acted upon by a work
// item; until that ran, the end that went up first drops what it sends. One
// GETLINK of that end makes the kernel do that work now. (The other end has a
// carrier when it goes up, and is activated with it.) Kernels before 6.8 do not,
// so there an ARP request is sent on every segment until it is answered.
//
// An IPv6 address joins its solicited-node group, and a link-local address
// becomes usable, in a work item that waits for the rtnl lock (addrconf_dad_work);
// while other namespaces are being cleared up that lock is held for long. A
// neighbour solicitation that comes too early is lost, and the kernel sends the
// next one a second later. So each is solicited here until it answers. It does so
// before it has its local route, without which what comes for it is lost: the same
// work item inserts that, under the same lock, for which a GETLINK then waits.
func (s *site) ready() error {
	if err := s.carrier(); err != nil {
		return err
	}
	var questions []question
	var alone, quiet []spot
	hearing := s.hearing()
	for i := range s.plan.Segments {
		if segment := &s.plan.Segments[i]; s.plan.Link(segment.Name) == segment.Name {
			link := s.onLink(segment)
			for _, group := range hearing.groups(link) {
				heard := *link
				heard.Ports = group
				alone = append(alone, lonely(hearing, group)...)
				quiet = append(quiet, s.quiet(group)...)
				questions = append(questions, s.questions(&heard)...)
			}
		}
	}
	if err := answered(questions); err != nil {
		return err
	}
	if err := s.routed(questions); err != nil {
		return err
	}
	if err := s.usable(append(alone, quiet...)); err != nil {
		return err
	}
	if err := s.unheard(quiet); err != nil {
		return err
	}
	return s.settleTuns()
}

// unheard has interfaces that tunnels are made on forget whom a kernel asked for too early: what
// it sends by itself into a tunnel (a router solicitation) is a question for the other end at
// once, which may not hear yet, and the next only comes a second later (retrans_time_ms). Where
// the other end is past routers they ask as well.
func (s *site) unheard(tunnels []spot) error {
	var asked []spot
	routed := false
	for _, tunnel := range tunnels {
		d := s.device(tunnel)
		if d.Parent == "" {
			continue
		}
		asked, routed = append(asked, s.voice(spot{tunnel.node, d.Parent})), routed || s.isRouted(d.Segment)
	}
	if routed {
		asked = append(asked, s.forwarding()...)
	}
	for _, own := range asked {
		if s.isQuiet(own) {
			continue
		}
		if err := s.forgetPeers(own); err != nil {
			return err
		}
	}
	return nil
}

// forwarding are the routers' interfaces.
func (s *site) forwarding() (ports []spot) {
	for i := range s.plan.Nodes {
		node := &s.plan.Nodes[i]
		for j := range node.Devices {
			if node.Router && len(node.Devices[j].Addrs) > 0 {
				ports = append(ports, spot{node.Name, node.Devices[j].Name})
			}
		}
	}
	return ports
}

// forgetPeers has an interface forget all others on its link.
func (s *site) forgetPeers(own spot) error {
	for _, peer := range s.peers(own) {
		for _, addr := range addrsOf(s.device(peer).Addrs) {
			if err := s.forget(own, addr); err != nil {
				return at(err, "node %s", own.node)
			}
		}
	}
	return nil
}

// usable returns when the IPv6 addresses of interfaces work that nobody can ask for.
func (s *site) usable(alone []spot) error {
	for _, own := range alone {
		own = s.voice(own)
		if err := s.grounds[own.node].usable(s.indexes[own], s.asked(own)...); err != nil {
			return at(err, "node %s: port %s", own.node, own.port)
		}
	}
	return nil
}

// routed returns when the IPv6 addresses that have answered have their local routes.
func (s *site) routed(questions []question) error {
	batches, seen := map[string]*batch{}, map[spot]bool{}
	for _, q := range questions {
		if !q.target.Is6() || seen[q.at] {
			continue
		}
		seen[q.at] = true
		if batches[q.at.node] == nil {
			batches[q.at.node] = new(batch)
		}
		batches[q.at.node].getLink(s.indexes[q.at], describe("port %s: look at link", q.at.port))
	}
	for node, b := range batches {
		if err := s.grounds[node].rtnl.do(b); err != nil {
			return at(err, "node %s", node)
		}
	}
	return nil
}

// carrier makes the kernel act on the carrier of the ends that went up first.
func (s *site) carrier() error {
	if s.fabric != nil {
		b := new(batch)
		for at, index := range s.outer {
			b.getLink(index, describe("switch: look at port %s of %s", at.port, at.node))
		}
		if err := s.fabric.rtnl.do(b); err != nil {
			return err
		}
	}
	for i := range s.plan.Nodes {
		node, b := &s.plan.Nodes[i], new(batch)
		for j := range node.Devices {
			d := &node.Devices[j]
			if s.isUp[spot{node.Name, d.Name}] || d.Master != "" || d.Kind != topo.PortKind {
				b.getLink(d.Index, describe("port %s: look at link", d.Name))
			}
		}
		if err := s.grounds[node.Name].rtnl.do(b); err != nil {
			return at(err, "%s", title(node))
		}
	}
	return nil
}

// question is one address to be asked for on a segment: does it answer yet?
type question struct {
	segment string
	asker   spot
	ground  *ground
	index   int
	mac     [6]byte
	source  netip.Addr // IPv4 only
	target  netip.Addr
	at      spot
	relayed bool // by a program
	// home is the namespace of what is asked for, and homeIndex its interface there.
	home      *ground
	homeIndex int
}

// onLink is a segment with the ports of those that bridges of nodes join to it.
func (s *site) onLink(segment *topo.SegmentPlan) *topo.SegmentPlan {
	link, whole := s.plan.Link(segment.Name), *segment
	for i := range s.plan.Segments {
		if other := &s.plan.Segments[i]; other.Name != segment.Name && s.plan.Link(other.Name) == link {
			whole.Ports = append(slices.Clone(whole.Ports), other.Ports...)
		}
	}
	return &whole
}

// questions makes the first port ask for every other, and the second for the
// first; of two of which one is made on the other the next.
func (s *site) questions(segment *topo.SegmentPlan) []question {
	var all []question
	for _, ref := range segment.Ports {
		asker := slices.IndexFunc(segment.Ports, func(other topo.PortRef) bool { return other != ref && !s.stacked(other, ref) })
		if asker < 0 {
			continue
		}
		from, at := s.voice(spot{segment.Ports[asker].Node, segment.Ports[asker].Port}), s.voice(spot{ref.Node, ref.Port})
		if from == at || s.isQuiet(from) || s.isQuiet(at) {
			continue // two ports of one bridge, or nobody is asked
		}
		for _, target := range s.asked(at) {
			all = append(all, s.question(segment.Name, from, at, target))
		}
	}
	return unambiguous(all, s, segment)
}

// stacked says whether one of two ports is made on the other: they do not hear each other.
func (s *site) stacked(a, b topo.PortRef) bool {
	return a.Node == b.Node && (s.device(spot{a.Node, a.Port}).Parent == b.Port || s.device(spot{b.Node, b.Port}).Parent == a.Port)
}

// quiet are the ports of a group on which nobody asks for neighbours.
func (s *site) quiet(group []topo.PortRef) (ports []spot) {
	for _, ref := range group {
		if at := (spot{ref.Node, ref.Port}); s.isQuiet(at) {
			ports = append(ports, at)
		}
	}
	return ports
}

func (s *site) isQuiet(at spot) bool {
	kind, err := device.Of(s.device(at).Kind)
	return err == nil && kind.Quiet
}

// unambiguous leaves out addresses that are on the segment twice: who answers is
// not ours to say. It also leaves out what the asker cannot ask for.
func unambiguous(all []question, s *site, segment *topo.SegmentPlan) []question {
	if len(all) == 0 {
		return nil
	}
	owners := map[netip.Addr]int{}
	for _, ref := range segment.Ports {
		for _, addr := range s.asked(s.voice(spot{ref.Node, ref.Port})) {
			owners[addr]++
		}
	}
	return slices.DeleteFunc(all, func(q question) bool {
		return owners[q.target] > 1 || q.target.Is4() && !q.source.IsValid()
	})
}

// asked are the addresses of a port that a control asks for.
func (s *site) asked(at spot) []netip.Addr {
	port, asked := s.device(at), s.linkLocals(at)
	for _, prefix := range port.Addrs {
		if prefix.Addr().Is6() || !carrierBarrier() || port.Kind != topo.PortKind || s.ovs != nil {
			asked = append(asked, prefix.Addr())
		}
	}
	return asked
}

// linkLocals is the link-local address that an interface has, if it has one.
func (s *site) linkLocals(at spot) []netip.Addr {
	d := s.device(at)
	if kind, err := device.Of(d.Kind); err == nil && kind.Shares {
		return nil
	}
	if !s.ipv6 || noIPv6() || d.MAC == [6]byte{} || !s.owners[at.node].HasIPv6() {
		return nil
	}
	return []netip.Addr{linkLocal(d.MAC)}
}

func (s *site) question(segment string, asker, at spot, target netip.Addr) question {
	q := question{
		segment: segment, asker: asker, at: at, target: target, relayed: s.ovs != nil,
		ground: s.grounds[asker.node], index: s.indexes[asker], mac: s.device(asker).MAC,
		home: s.grounds[at.node], homeIndex: s.indexes[at],
	}
	for _, prefix := range s.device(asker).Addrs {
		if prefix.Addr().Is4() && target.Is4() {
			q.source = prefix.Addr()
			break
		}
	}
	return q
}

// linkLocal is the address that the kernel gives a port of that MAC: fe80::/64
// and the modified EUI-64 (RFC 4291, appendix A).
func linkLocal(mac [6]byte) netip.Addr {
	return netip.AddrFrom16([16]byte{
		0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5],
	})
}

// carrierBarrier says whether a GETLINK settles a link's carrier here.
var carrierBarrier = sync.OnceValue(func() bool { return kernelAtLeast(6, 8) })
