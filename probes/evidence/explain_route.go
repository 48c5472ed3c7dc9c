package evidence

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// noWay explains the error of a route lookup. A link that is down comes before a
// route that is missing: the kernel took the routes with it.
func (o Observation) noWay(c *Cause, state *State, errno unix.Errno, to netip.Addr) {
	if port, ok := o.downTowards(state, to); ok {
		c.Kind, c.Interface, c.Router = LinkDown, port.Interface, false
		c.Detail = "the link is down, and with it the route"
		return
	}
	for _, t := range []struct {
		errno unix.Errno
		route int
		kind  Kind
		name  string
	}{
		{unix.EINVAL, unix.RTN_BLACKHOLE, Blackhole, "blackhole"},
		{unix.EHOSTUNREACH, unix.RTN_UNREACHABLE, Unreachable, "unreachable"},
		{unix.EACCES, unix.RTN_PROHIBIT, Prohibit, "prohibit"},
	} {
		if route, ok := state.matching(to, t.route); ok && errno == t.errno {
			c.Kind, c.Detail, c.route, c.to = t.kind, t.name+" route "+route.To.String(), route, to
			return
		}
	}
	switch errno {
	case unix.ENETUNREACH:
		o.noRoute(c, state, to)
		return
	case unix.EACCES: // there is no such route
		c.Kind, c.Detail = Prohibit, "a rule of the routing policy"
		return
	}
	c.Kind, c.Detail = Unknown, fmt.Sprintf("the route lookup of %s says %q", to, errno.Error())
}

// noRoute tells a route that a node is not to have from one that it lost with an
// address, or may have lost with a link.
func (o Observation) noRoute(c *Cause, state *State, to netip.Addr) {
	c.Kind, c.Detail, c.to = NoRoute, fmt.Sprintf("no route to %s", to), to
	for _, port := range o.Ports[state.Node] {
		for _, prefix := range port.Addrs {
			if _, has := state.has(prefix.Addr()); !has && prefix.Masked().Contains(to) {
				c.lacks(port, prefix)
				return
			}
		}
		if link := state.named(port.Interface); link.Index != 0 && !link.Up {
			c.Kind, c.Detail = Unknown, fmt.Sprintf("no route to %s; link %s is down, and may have taken one along", to, link.Name)
		}
	}
}

// lacks names an address that a port is meant to have, and the node has not.
func (c *Cause) lacks(port PortState, prefix netip.Prefix) {
	c.Kind, c.Interface, c.Router, c.Detail = NoAddress, port.Interface, false, fmt.Sprintf("it does not have %s", prefix)
}

// downTowards is a planned port of the node that leads to the address, and is down.
func (o Observation) downTowards(state *State, to netip.Addr) (PortState, bool) {
	for _, port := range o.Ports[state.Node] {
		leads := func(p netip.Prefix) bool { return p.Masked().Contains(to) }
		if !slices.ContainsFunc(port.Addrs, leads) && !slices.ContainsFunc(port.Routes, leads) {
			continue
		}
		if link := state.named(port.Interface); link.Index != 0 && !link.Up {
			return port, true
		}
	}
	return PortState{}, false
}
