package truth_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/vishvananda/netlink"
)

// neighbours are what nodes know of each other on a link.
var neighbours = family{"neighbour", []row{
	{name: "neighbours forgotten", add: func(g *generator) {
		at := pick(g.r, g.nodes...).name
		g.does(at, "ip neigh flush all // at "+at, func(_ *scope, node *harness.Node) error {
			all, err := node.Netlink().NeighList(0, 0)
			for _, n := range all {
				_ = node.Netlink().NeighDel(&n)
			}
			return err
		})
	}},
	{name: "a neighbour that was asked for in vain, and has come since", add: func(g *generator) {
		at, to, device := g.beside()
		if at == "" || !g.v4 || g.node("br") != nil {
			return
		}
		addr := g.addr(to, false)
		if v := netip.MustParseAddr(addr); !g.onPrefix(device, v) {
			return
		}
		g.put(part{node: at, source: fmt.Sprintf("// %s took %s off %s, %s asked for it in vain, and it is there again", to, addr, device, at), do: func(_ *scope, lab *harness.Lab, _ string) error {
			return askInVain(lab.Node(at), lab.Node(to), device, netip.MustParseAddr(addr))
		}}).remembers = true // until it is asked for again, a second later
	}},
	{name: "permanent neighbour", add: func(g *generator) {
		if at, to, device := g.beside(); at != "" {
			for _, addr := range g.node(to).ports[0].at {
				g.put(part{node: at, source: fmt.Sprintf("ip neigh replace %s lladdr MAC-of-%s dev %s nud permanent // at %s", addr, to, device, at), do: func(_ *scope, lab *harness.Lab, _ string) error {
					of, err := lab.Node(to).Netlink().LinkByName(device)
					if err != nil {
						return err
					}
					link, err := lab.Node(at).Netlink().LinkByName(device)
					if err != nil {
						return err
					}
					return lab.Node(at).Netlink().NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, IP: net.ParseIP(addr), HardwareAddr: of.Attrs().HardwareAddr, State: netlink.NUD_PERMANENT})
				}})
			}
		}
	}},
	{name: "proxy ARP", add: func(g *generator) {
		at := g.anyRouter()
		if g.v4 && g.node(at).router {
			device := g.port(at)
			g.does(at, fmt.Sprintf("lab.Node(%q).SetSysctl(\"net.ipv4.conf.%s.proxy_arp\", \"1\")", at, device), func(_ *scope, node *harness.Node) error {
				return node.SetSysctl("net.ipv4.conf."+device+".proxy_arp", "1")
			})
		}
	}},
}}

// beside is a node, one on the same segment, and the segment; "" where none is.
func (g *generator) beside() (at, to, device string) {
	at = pick(g.r, g.nodes...).name
	for _, p := range g.node(at).ports {
		if len(p.at) == 0 {
			continue
		}
		for _, n := range g.nodes {
			if n.name != at && len(n.ports) > 0 && n.ports[0].segment == p.segment && len(n.ports[0].at) > 0 {
				return at, n.name, p.segment
			}
		}
	}
	return "", "", ""
}

// bridges are what a bridge in a node does; there is one in some skeletons alone.
var bridges = family{"bridge", []row{
	{name: "rules of a bridge", weight: 2, add: func(g *generator) {
		if g.node("br") != nil {
			lines := append(discovery("bridge"), g.simple("bridge", "forward")+" counter "+pick(g.r, "drop", "drop", "accept"))
			g.nft("br", g.filter("bridge", pick(g.r, "forward", "prerouting", "postrouting"), pick(g.r, "accept", "accept", "drop"), lines...))
		}
	}},
	{name: "policy drop of a bridge", weight: 2, add: func(g *generator) {
		if g.node("br") != nil {
			g.nft("br", g.filter("bridge", pick(g.r, "forward", "forward", "prerouting"), "drop")).remembers = true // what neighbours know
		}
	}},
	{name: "ARP dropped at a bridge", add: func(g *generator) {
		if g.node("br") != nil {
			g.nft("br", g.filter("bridge", "forward", "accept", "ether type arp counter drop")).remembers = true
		}
	}},
	{name: "isolated ports", add: func(g *generator) {
		if g.node("br") == nil {
			return
		}
		g.does("br", "// ports w0 and w1 of br's bridge are isolated", func(_ *scope, node *harness.Node) error {
			for _, name := range []string{"w0", "w1"} {
				link, err := node.Netlink().LinkByName(name)
				if err == nil {
					err = node.Netlink().LinkSetIsolated(link, true)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}},
}}

// makeBridge has a node bridge its ports.
func makeBridge(g *generator, at string) {
	var ports []string
	for _, p := range g.node(at).ports {
		ports = append(ports, p.segment)
	}
	g.does(at, "// "+at+" bridges its ports", func(_ *scope, node *harness.Node) error {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "bridge"}}
		errs := []error{node.Netlink().LinkAdd(bridge)}
		for _, port := range ports {
			link, err := node.Netlink().LinkByName(port)
			errs = append(errs, err)
			if err == nil {
				errs = append(errs, node.Netlink().LinkSetMaster(link, bridge))
			}
		}
		return errors.Join(append(errs, node.Netlink().LinkSetUp(bridge))...)
	})
}

// onPrefix says whether an address is in a prefix of a segment.
func (g *generator) onPrefix(segment string, addr netip.Addr) bool {
	return slices.ContainsFunc(g.prefixesOf(segment), func(p string) bool { return netip.MustParsePrefix(p).Contains(addr) })
}

// askInVain has a node ask for a neighbour's address while it has not got it.
func askInVain(at, to *harness.Node, device string, addr netip.Addr) error {
	link, err := to.Netlink().LinkByName(device)
	if err != nil {
		return err
	}
	routes, err := to.Netlink().RouteList(link, netlink.FAMILY_V4) // they go with the last address
	if err != nil {
		return err
	}
	prefix := &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(24, 32)}}
	if err := to.Netlink().AddrDel(link, prefix); err != nil {
		return err
	}
	// Of a protocol that nobody asks with: when the neighbour is found it is delivered.
	err = at.Do(func() error {
		conn, err := net.Dial("ip4:253", addr.String())
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("in vain"))
		return err
	})
	if err != nil && !errors.Is(err, os.ErrPermission) { // its own rules may keep it
		return err
	}
	err = to.Netlink().AddrAdd(link, prefix)
	for _, r := range routes {
		if r.Gw != nil {
			r.SetFlag(netlink.FLAG_ONLINK) // whatever rules say of the gateway
			err = errors.Join(err, to.Netlink().RouteReplace(&r))
		}
	}
	return err
}
