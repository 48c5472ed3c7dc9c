package harness

import (
	"net/netip"

	"github.com/nstest/nstest/topo"
)

// Port is a node's end on a segment.
type Port struct {
	node  *Node
	index int
	plan  topo.PortPlan
}

// Port is the node's port on a segment. A segment that the node is not on fails
// the test and lists those it is on.
func (n *Node) Port(segment string) *Port {
	n.lab.tb.Helper()
	for i, port := range n.plan.Ports {
		if port.Segment == segment {
			return &Port{node: n, index: firstIndex + i, plan: port}
		}
	}
	n.lab.tb.Fatalf("node %s is not on segment %q; it is on: %s", n.name, segment, n.portNames())
	return nil
}

// Name is the interface's name in the namespace.
func (p *Port) Name() string { return p.plan.Name }

// Addrs are the port's planned addresses with their prefix lengths.
func (p *Port) Addrs() []netip.Prefix { return append([]netip.Prefix(nil), p.plan.Addrs...) }

// Up brings the interface up, and returns when it passes packets again. The
// kernel dropped the port's IPv6 addresses and the routes through it at Down;
// addresses come back with Up, routes through a gateway do not.
func (p *Port) Up() error {
	b := new(batch)
	b.setLink(p.index, true, describe("set up"))
	for _, prefix := range p.plan.Addrs {
		if prefix.Addr().Is6() {
			b.replaceAddr(p.index, prefix, describe("set address %s", prefix))
		}
	}
	b.getLink(p.index, describe("look at link"))
	return p.do(b)
}

// Down takes the interface down; the other end loses its carrier.
func (p *Port) Down() error {
	b := new(batch)
	b.setLink(p.index, false, describe("set down"))
	return p.do(b)
}

func (p *Port) do(b *batch) error {
	return at(p.node.ground.rtnl.do(b), "node %s: port %s", p.node.name, p.plan.Name)
}
