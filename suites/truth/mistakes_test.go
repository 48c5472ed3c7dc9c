package truth_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// mistakes are what goes wrong in a test: none of them isolates.
var mistakes = family{"mistake", []row{
	{name: "wrong gateway", weight: 2, add: func(g *generator) {
		// Nobody has it, or somebody who does not forward.
		at := pick(g.r, g.ends()...)
		segment := g.node(at).ports[0].segment
		for _, prefix := range g.prefixesOf(segment) {
			g.gateway(at, plus(netip.MustParsePrefix(prefix).Addr(), 200).String())
		}
	}},
	{name: "a Host as router", weight: 2, add: func(g *generator) {
		at, to, _ := g.beside()
		if at != "" && !g.node(to).router {
			for _, a := range g.node(to).ports[0].at {
				g.gateway(at, a)
			}
		}
	}},
	{name: "a route that leads back", weight: 2, add: func(g *generator) {
		for _, router := range g.routers() {
			at, to := g.facing(router)
			if at == "" {
				continue
			}
			for _, a := range g.node(to).ports[0].at {
				v6 := netip.MustParseAddr(a).Is6()
				back := g.addr(at, v6)
				device := g.deviceTo(router, back)
				g.mistake(router, fmt.Sprintf("ip route replace %s via %s // at %s", a, back, router), func(node *harness.Node) error {
					return routeBy(node, host(a), back, device)
				})
			}
			return
		}
	}},
	{name: "link down", weight: 2, add: func(g *generator) {
		at := pick(g.r, g.nodes...).name
		if device := g.port(at); device != "lo" && !g.bound(at) {
			g.mistake(at, fmt.Sprintf("lab.Node(%q).Port(%q).Down()", at, device), func(node *harness.Node) error { return node.Port(device).Down() })
		}
	}},
	{name: "missing address", weight: 2, add: func(g *generator) {
		at := pick(g.r, g.ends()...)
		device := g.node(at).ports[0].segment
		if g.bound(at) {
			return
		}
		g.mistake(at, fmt.Sprintf("ip addr flush dev %s // at %s", device, at), func(node *harness.Node) error {
			link, err := node.Netlink().LinkByName(device)
			if err != nil {
				return err
			}
			all, err := node.Netlink().AddrList(link, 0)
			for _, a := range all {
				if a.Scope == unix.RT_SCOPE_LINK {
					continue
				}
				// A second one of a prefix goes with its first.
				if e := node.Netlink().AddrDel(link, &a); !errors.Is(e, unix.EADDRNOTAVAIL) {
					err = errors.Join(err, e)
				}
			}
			return err
		})
	}},
	{name: "typo as target", add: func(g *generator) {
		v6 := g.family()
		addr := pick(g.r, "8.8.8.8", "10.0.1.200", "10.99.0.1")
		if v6 {
			addr = pick(g.r, "2001:db8:ffff::1", "fd00:1::200")
		}
		g.asks = append(g.asks, ask{from: pick(g.r, g.ends()...), addr: addr, kind: pick(g.r, icmp, tcp, udp), port: 53})
	}},
	{name: "a host that forgot its routes", add: func(g *generator) {
		at := pick(g.r, g.ends()...)
		g.mistake(at, "// all routes with a gateway are taken from "+at, func(node *harness.Node) error {
			all, err := node.Netlink().RouteList(nil, 0)
			for _, r := range all {
				if r.Gw != nil || r.Via != nil {
					err = node.Netlink().RouteDel(&r)
				}
			}
			return err
		})
	}},
	{name: "wrong permanent neighbour", add: func(g *generator) {
		at, to, device := g.beside()
		if at == "" {
			return
		}
		for _, a := range g.node(to).ports[0].at {
			g.mistake(at, fmt.Sprintf("ip neigh replace %s lladdr 02:00:00:00:99:99 dev %s nud permanent // at %s", a, device, at), func(node *harness.Node) error {
				link, err := node.Netlink().LinkByName(device)
				if err != nil {
					return err
				}
				return node.Netlink().NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, IP: net.ParseIP(a), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0x99, 0x99}, State: netlink.NUD_PERMANENT})
			})
			// Who is told nothing of the node may know it from what was asked before.
			g.parts[len(g.parts)-1].remembers = true
		}
	}},
}}

// mistake adds one.
func (g *generator) mistake(at, source string, do func(*harness.Node) error) {
	g.does(at, source, func(_ *scope, node *harness.Node) error { return do(node) }).mistake = true
}

// gateway has a node send everything to an address.
func (g *generator) gateway(at, via string) {
	v6, device := netip.MustParseAddr(via).Is6(), g.deviceTo(at, via)
	g.mistake(at, fmt.Sprintf("ip route replace default via %s // at %s, and no other route with a gateway", via, at), func(node *harness.Node) error {
		all, err := node.Netlink().RouteList(nil, familyOf(v6))
		if err != nil {
			return err
		}
		for _, r := range all {
			if r.Gw != nil {
				_ = node.Netlink().RouteDel(&r)
			}
		}
		return routeBy(node, everything(v6), via, device)
	})
}

// routeBy has a node send by a gateway, whatever its rules and other routes say of that:
// who does not name the device has the kernel look the gateway up.
func routeBy(node *harness.Node, dst *net.IPNet, via, device string) error {
	link, err := node.Netlink().LinkByName(device)
	if err != nil {
		return err
	}
	return node.Netlink().RouteReplace(&netlink.Route{Dst: dst, Gw: net.ParseIP(via), LinkIndex: link.Attrs().Index, Flags: int(netlink.FLAG_ONLINK)})
}

// deviceTo is a node's device on whose link an address is.
func (g *generator) deviceTo(at, addr string) string {
	for _, p := range g.node(at).ports {
		if len(p.at) > 0 && g.onPrefix(p.segment, netip.MustParseAddr(addr)) {
			return p.segment
		}
	}
	return ""
}

// facing are two ends on different links of a router.
func (g *generator) facing(router string) (a, b string) {
	for _, x := range g.ends() {
		for _, y := range g.ends() {
			sx, sy := g.node(x).ports[0].segment, g.node(y).ports[0].segment
			if x != router && y != router && sx != sy && g.isOn(router, sx) && g.isOn(router, sy) {
				a, b = x, y
				if g.chance(2) {
					return a, b
				}
			}
		}
	}
	return a, b
}

func (g *generator) isOn(name, segment string) bool {
	for _, p := range g.node(name).ports {
		if p.segment == segment {
			return true
		}
	}
	return false
}
