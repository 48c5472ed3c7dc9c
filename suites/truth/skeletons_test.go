package truth_test

import "fmt"

// skeletons are the shapes of networks, before anything is put into them.
var skeletons = []row{
	{name: "office", add: office},
	{name: "office with a mirror", add: func(g *generator) {
		office(g)
		g.segment("mirror", true)
		g.join("fw", "mirror")
		g.on("ids", true, "mirror")
	}},
	{name: "three legs", add: func(g *generator) {
		for _, s := range []string{"lan", "wan", "dmz"} {
			g.segment(s, g.chance(2))
		}
		g.on("pc", false, "lan")
		g.on("site", false, "wan")
		g.on("web", false, "dmz")
		g.on("fw", true, "lan", "wan", "dmz")
	}},
	{name: "two routers in a row", add: func(g *generator) {
		for _, s := range []string{"lan", "core", "wan"} {
			g.segment(s, g.chance(2))
		}
		g.on("pc", false, "lan")
		g.on("site", false, "wan")
		g.on("fw", true, "lan", "core")
		g.on("edge", true, "core", "wan")
	}},
	{name: "two ways", add: func(g *generator) {
		for _, s := range []string{"lan", "wan"} {
			g.segment(s, false)
		}
		g.on("pc", false, "lan")
		g.on("site", false, "wan")
		g.on("fw", true, "lan", "wan")
		g.on("other", true, "lan", "wan")
	}},
	{name: "switch", add: func(g *generator) {
		g.segment("lan", false)
		for i := range 2 + g.r.IntN(2) {
			g.on(fmt.Sprintf("pc%d", i), false, "lan")
		}
	}},
	{name: "switch and router", add: func(g *generator) {
		g.segment("lan", false)
		g.segment("wan", g.chance(2))
		g.on("pc", false, "lan")
		g.on("printer", false, "lan")
		g.on("fw", true, "lan", "wan")
		g.on("site", false, "wan")
	}},
	{name: "tree", weight: 2, add: tree},
	{name: "bridge in a node", add: bridged},
	{name: "two tenants with the same addresses", add: tenants},
	{name: "host with two legs", add: func(g *generator) {
		office(g)
		g.segment("side", true)
		g.join("fw", "side")
		g.join("site", "side")
	}},
}

func office(g *generator) {
	g.segment("lan", g.chance(2))
	g.segment("wan", g.chance(2))
	g.on("pc", false, "lan")
	g.on("site", false, "wan")
	g.on("fw", true, "lan", "wan")
	if g.chance(2) {
		// Addresses go by who is declared first.
		g.nodes[0], g.nodes[2] = g.nodes[2], g.nodes[0]
	}
	for i := range g.segments {
		if !g.segments[i].wire && g.chance(3) {
			g.on("extra"+g.segments[i].name, false, g.segments[i].name)
		}
	}
}

// join puts a node on one more segment.
func (g *generator) join(name, segment string) {
	n := g.node(name)
	n.ports = append(n.ports, port{segment: segment, at: g.next(segment)})
}

// bridged is two or three hosts on the ports of a bridge in a node, whose wires are
// one network.
func bridged(g *generator) {
	prefixes := g.prefixes(1)
	bridge := node{name: "br"}
	hosts := 2 + g.r.IntN(2)
	for i := range hosts {
		name := fmt.Sprintf("w%d", i)
		g.segments = append(g.segments, segment{name: name, wire: true, prefixes: prefixes})
		bridge.ports = append(bridge.ports, port{segment: name})
		at := []string{}
		if g.v4 {
			at = append(at, fmt.Sprintf("10.0.1.%d", i+1))
		}
		if g.v6 {
			at = append(at, fmt.Sprintf("fd00:1::%d", i+1))
		}
		g.nodes = append(g.nodes, node{name: fmt.Sprintf("pc%d", i), ports: []port{{segment: name, at: at}}})
	}
	g.nodes = append(g.nodes, bridge)
	makeBridge(g, "br")
}

// tenants are two networks of the same addresses that nothing joins.
func tenants(g *generator) {
	for _, t := range []string{"a", "b"} {
		prefixes := g.prefixes(1)
		g.segments = append(g.segments, segment{name: "lan" + t, prefixes: prefixes})
		for i, name := range []string{"pc", "site"} {
			at := []string{}
			if g.v4 {
				at = append(at, fmt.Sprintf("10.0.1.%d", i+1))
			}
			if g.v6 {
				at = append(at, fmt.Sprintf("fd00:1::%d", i+1))
			}
			g.nodes = append(g.nodes, node{name: name + t, ports: []port{{segment: "lan" + t, at: at}}})
		}
	}
}
