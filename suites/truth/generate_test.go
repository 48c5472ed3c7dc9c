package truth_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// generator makes a world; its families put parts into it.
type generator struct {
	*world
	r      *rand.Rand
	naming string // the row that is put in
}

// row is a feature: one of a family's.
type row struct {
	name string
	// weight is how often it is chosen, in comparison; 0 is 1.
	weight int
	add    func(g *generator)
}

// family is one file's rows.
type family struct {
	name string
	rows []row
}

func (f family) has(name string) bool {
	return slices.ContainsFunc(f.rows, func(r row) bool { return r.name == name })
}

// families are all that networks are made of: a new one is a file and a line here.
// Mistakes are apart: a world has one at most.
var families = []family{
	filters, matches, chains, rejects, hosts, translations, copies, memories, oneWays,
	xtables, routings, neighbours, bridges, addresses, listeners, programs, chosen, arounds, tables, readers, locals, protocols,
}

const questions = 3 // of a world

// newWorld makes the world of a seed.
func newWorld(seed uint64) *world {
	g := &generator{world: &world{seed: seed}, r: rand.New(rand.NewPCG(seed, 9))}
	switch g.r.IntN(4) {
	case 0:
		g.v4 = true
	case 1:
		g.v6 = true
	default:
		g.v4, g.v6 = true, true
	}
	g.choose(skeletons).add(g)
	if g.chance(8) {
		g.naming = "slow link"
		g.relay(pick(g.r, g.ends()...), pick(g.r, 5*time.Millisecond, 30*time.Millisecond))
	}
	g.serve()
	for range 1 + g.r.IntN(3) {
		g.feature()
	}
	if g.chance(6) {
		g.choose(mistakes.rows).add(g)
	}
	g.question()
	g.uncircle()
	g.weave()
	return g.world
}

func (g *generator) feature() { g.choose(pick(g.r, families...).rows).add(g) }

// choose picks a row by weight. What its parts come from is written beside them.
func (g *generator) choose(rows []row) row {
	all := 0
	for _, r := range rows {
		all += max(1, r.weight)
	}
	n := g.r.IntN(all)
	for _, r := range rows {
		if n -= max(1, r.weight); n < 0 {
			return row{name: r.name, add: func(g *generator) {
				g.naming = r.name
				r.add(g)
			}}
		}
	}
	panic("unreachable: weights add up")
}

// chance is true once in n times.
func (g *generator) chance(n int) bool { return g.r.IntN(n) == 0 }

// serve gives nodes services: signed or plain.
func (g *generator) serve() {
	for _, n := range g.nodes {
		for _, s := range []service{{network: tcp, port: 80}, {network: udp, port: 53}} {
			if s.node = n.name; g.r.IntN(5) > 0 {
				s.signed = g.chance(2)
				g.services = append(g.services, s)
			}
		}
	}
}

// question chooses who asks whom.
func (g *generator) question() {
	ends := g.ends()
	for len(g.asks) < questions {
		a := ask{kind: pick(g.r, icmp, tcp, udp, tcp, udp)}
		a.from, a.to = pick(g.r, ends...), pick(g.r, ends...)
		if g.chance(6) {
			a.to = pick(g.r, g.nodes...).name
		}
		if a.from == a.to || !g.addressed(a.from) || !g.addressed(a.to) {
			continue
		}
		switch {
		case len(g.asks) == questions-1 && g.chance(4):
			a.kind = every
		case len(g.asks) == questions-1 && g.chance(12):
			a.across = true
		}
		switch a.kind {
		case tcp:
			a.port = pick[uint16](g.r, 80, 80, 80, 81)
		case udp:
			a.port = pick[uint16](g.r, 53, 53, 53, 54)
		}
		g.asks = append(g.asks, a)
	}
}

// ends are hosts with addresses, or whatever has some.
func (g *generator) ends() (names []string) {
	for _, n := range g.nodes {
		if !n.router && g.addressed(n.name) {
			names = append(names, n.name)
		}
	}
	if len(names) > 1 {
		return names
	}
	names = nil
	for _, n := range g.nodes {
		if g.addressed(n.name) {
			names = append(names, n.name)
		}
	}
	return names
}

func (g *generator) addressed(name string) bool {
	return slices.ContainsFunc(g.node(name).ports, func(p port) bool { return len(p.at) > 0 })
}

// routers are the nodes that forward; nil where there is none.
func (g *generator) routers() (names []string) {
	for _, n := range g.nodes {
		if n.router {
			names = append(names, n.name)
		}
	}
	return names
}

// segment adds one, whose number its prefixes have.
func (g *generator) segment(name string, wire bool) {
	g.segments = append(g.segments, segment{name: name, wire: wire, prefixes: g.prefixes(len(g.segments) + 1)})
}

func (g *generator) prefixes(n int) (texts []string) {
	if g.v4 {
		texts = append(texts, fmt.Sprintf("10.0.%d.0/24", n))
	}
	if g.v6 {
		texts = append(texts, fmt.Sprintf("fd00:%d::/64", n))
	}
	return texts
}

// on puts a node on segments, with the next address of each.
func (g *generator) on(name string, router bool, segments ...string) {
	n := node{name: name, router: router}
	for _, s := range segments {
		n.ports = append(n.ports, port{segment: s, at: g.next(s)})
	}
	g.nodes = append(g.nodes, n)
}

// next are the next free addresses of a segment.
func (g *generator) next(name string) (addrs []string) {
	for _, s := range g.segments {
		if s.name != name {
			continue
		}
		for _, prefix := range s.prefixes {
			addr := netip.MustParsePrefix(prefix).Addr().Next()
			for g.taken(name, addr.String()) {
				addr = addr.Next()
			}
			addrs = append(addrs, addr.String())
		}
	}
	return addrs
}

func (g *generator) taken(segment, addr string) bool {
	for _, n := range g.nodes {
		for _, p := range n.ports {
			if p.segment == segment && (slices.Contains(p.at, addr) || slices.ContainsFunc(p.also, func(a string) bool { return strings.HasPrefix(a, addr+"/") })) {
				return true
			}
		}
	}
	return false
}

// addr is an address of a node of a family; "" when it has none.
func (g *generator) addr(name string, v6 bool) string {
	for _, p := range g.node(name).ports {
		for _, a := range p.at {
			if netip.MustParseAddr(a).Is6() == v6 {
				return a
			}
		}
	}
	return ""
}

// v6only chooses a family that the world has.
func (g *generator) family() (v6 bool) { return g.v6 && (!g.v4 || g.chance(2)) }

// port is an interface of a node.
func (g *generator) port(name string) string {
	if ports := g.node(name).ports; len(ports) > 0 {
		return pick(g.r, ports...).segment
	}
	return "lo"
}

// anyRouter is a router, or another node where there is none.
func (g *generator) anyRouter() string {
	if names := g.routers(); len(names) > 0 {
		return pick(g.r, names...)
	}
	return pick(g.r, g.nodes...).name
}

// nft puts nftables text at a node.
func (g *generator) nft(name, text string) *part {
	return g.put(part{node: name, text: text, source: name + ".Nft(`%s`)", declare: func(n *topo.Node, text string) { n.Nft(text) }})
}

// put adds a part, which may be changed until the next is put.
func (g *generator) put(p part) *part {
	p.feature = g.naming
	g.parts = append(g.parts, p)
	return &g.parts[len(g.parts)-1]
}

// has says whether a node has the row that is put in already.
func (g *generator) has(name string) bool {
	return slices.ContainsFunc(g.parts, func(p part) bool { return p.node == name && p.feature == g.naming })
}

// again says whether the world has the row that is put in already.
func (g *generator) again() bool {
	return slices.ContainsFunc(g.parts, func(p part) bool { return p.feature == g.naming })
}

// does adds what is done to the lab once it is up.
func (g *generator) does(name, source string, do func(s *scope, node *harness.Node) error) *part {
	return g.put(part{node: name, source: source, do: func(s *scope, lab *harness.Lab, _ string) error { return do(s, lab.Node(name)) }})
}
