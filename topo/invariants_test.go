package topo_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// invariants checks what holds for every plan, whatever was declared. Doubles
// says that addresses or MACs are on a segment twice on purpose.
func invariants(tb testing.TB, plan *topo.Plan, doubles bool) {
	tb.Helper()
	c := &checker{tb: tb, plan: plan, doubles: doubles, fabric: map[string]bool{}}
	for i := range plan.Segments {
		c.segment(&plan.Segments[i])
	}
	for i := range plan.Nodes {
		c.node(&plan.Nodes[i])
	}
	if plan.String() == "" {
		tb.Error("the plan prints nothing")
	}
}

type checker struct {
	tb      testing.TB
	plan    *topo.Plan
	doubles bool
	fabric  map[string]bool
}

func (c *checker) errorf(format string, args ...any) {
	c.tb.Helper()
	c.tb.Errorf(format, args...)
}

// device checks a name as the kernel does (dev_valid_name), and that it is unique
// in its namespace.
func (c *checker) device(where, name string, taken map[string]bool) {
	c.tb.Helper()
	switch {
	case len(name) < 1 || len(name) > 15, name == ".", name == "..", strings.ContainsAny(name, "/: \t\n\v\f\r\x00"):
		c.errorf("%s: %q is no name for an interface", where, name)
	case name == "lo" || name == "all" || name == "default":
		c.errorf("%s: the interface is called %s", where, name)
	case taken[name]:
		c.errorf("%s: the interface %s is there twice", where, name)
	}
	taken[name] = true
}

// segment checks that ports are those of the nodes, and that nothing on the
// segment is there twice.
func (c *checker) segment(s *topo.SegmentPlan) {
	if s.Kind == topo.KindWire {
		if len(s.Ports) != 2 || s.Ports[0].Node == s.Ports[1].Node {
			c.errorf("wire %s has ports %+v", s.Name, s.Ports)
		}
	} else {
		c.device("switch "+s.Name, s.Bridge, c.fabric)
	}
	addrs, macs := map[netip.Addr]string{}, map[[6]byte]string{}
	for _, ref := range s.Ports {
		port := c.port(ref)
		if port == nil || port.Segment != s.Name {
			c.errorf("segment %s: %+v is no port on it", s.Name, ref)
			continue
		}
		if s.Kind == topo.KindSwitch {
			c.device("switch "+s.Name, ref.Outer, c.fabric)
		}
		if macs[port.MAC] != "" && !c.doubles {
			c.errorf("segment %s: nodes %s and %s have MAC %x", s.Name, macs[port.MAC], ref.Node, port.MAC)
		}
		macs[port.MAC] = ref.Node
		for _, prefix := range port.Addrs {
			if addrs[prefix.Addr()] != "" && !c.doubles {
				c.errorf("segment %s: nodes %s and %s have %s", s.Name, addrs[prefix.Addr()], ref.Node, prefix)
			}
			addrs[prefix.Addr()] = ref.Node
		}
	}
}

func (c *checker) port(ref topo.PortRef) *topo.PortPlan {
	node, ok := c.plan.Node(ref.Node)
	if !ok {
		return nil
	}
	for i := range node.Ports {
		if node.Ports[i].Name == ref.Port {
			return &node.Ports[i]
		}
	}
	return nil
}

func (c *checker) node(n *topo.NodePlan) {
	names := map[string]bool{}
	for i, d := range n.Devices {
		if _, is := n.Device(d.Master); d.Index != topo.FirstIndex+i || d.Master != "" && (!is || d.Master == d.Name) {
			c.errorf("node %s: interface %+v is out of order, or of nobody", n.Name, d)
		}
		if i < len(n.Ports) && (d.Name != n.Ports[i].Name || d.Segment != n.Ports[i].Segment || d.MAC != n.Ports[i].MAC || fmt.Sprint(d.Addrs) != fmt.Sprint(n.Ports[i].Addrs)) {
			c.errorf("node %s: interface %+v is not its port %+v", n.Name, d, n.Ports[i])
		}
	}
	for _, port := range n.Devices {
		where := fmt.Sprintf("node %s: port %s", n.Name, port.Name)
		c.device("node "+n.Name, port.Name, names)
		if port.MAC[0]&1 != 0 || port.MAC == [6]byte{} {
			c.errorf("%s: MAC %x", where, port.MAC)
		}
		if port.MTU != 0 && (port.MTU < 68 || port.MTU > 65535) {
			c.errorf("%s: MTU %d", where, port.MTU)
		}
		own := map[netip.Addr]bool{}
		for _, prefix := range port.Addrs {
			if own[prefix.Addr()] || !usable(prefix) || prefix.Addr().Is6() && port.MTU != 0 && port.MTU < 1280 {
				c.errorf("%s: address %s of %v, MTU %d", where, prefix, port.Addrs, port.MTU)
			}
			own[prefix.Addr()] = true
		}
	}
	for _, prefix := range n.Loopback {
		if !usable(prefix) {
			c.errorf("node %s: loopback: address %s", n.Name, prefix)
		}
	}
	for _, route := range n.Routes {
		c.route(n, route)
	}
}

// usable says whether a port can have an address: neither a group's nor nobody's
// nor, where the prefix has room, its first or, in IPv4, its last.
func usable(prefix netip.Prefix) bool {
	addr := prefix.Addr()
	if !prefix.IsValid() || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() || addr.Zone() != "" || addr.Is4In6() {
		return false
	}
	if addr.BitLen()-prefix.Bits() < 2 {
		return true
	}
	first := prefix.Masked().Addr()
	next := addr.Next()
	return addr != first && (addr.Is6() || next.IsValid() && prefix.Contains(next))
}

// route checks a route as the kernel does: the gateway must be a neighbour.
func (c *checker) route(n *topo.NodePlan, route topo.RoutePlan) {
	where := "node " + n.Name + ": route " + routeLine(route)
	if route.To != route.To.Masked() || route.Via.IsValid() && route.Via.Is4() != route.To.Addr().Is4() {
		c.errorf("%s: the parts do not fit together", where)
	}
	if route.Type != topo.Unicast {
		if route.Via.IsValid() || route.Dev != "" {
			c.errorf("%s: it leads somewhere", where)
		}
		return
	}
	for _, port := range n.Ports {
		if port.Name != route.Dev {
			continue
		}
		if !route.Via.IsValid() || route.Via.Is6() && route.Via.IsLinkLocalUnicast() {
			return
		}
		for _, prefix := range port.Addrs {
			if prefix.Masked().Contains(route.Via) && prefix.Addr() != route.Via {
				return
			}
		}
		for _, other := range n.Routes { // a device route may make it a neighbour
			if !route.Auto && !other.Via.IsValid() && other.Dev == route.Dev && other.To.Contains(route.Via) {
				return
			}
		}
	}
	c.errorf("%s: the gateway is no neighbour", where)
}
