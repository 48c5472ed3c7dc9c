package topo

import "net/netip"

// way is how a node reaches a target: its own port, the hops over routers, and
// the gateway, which is the zero Addr where no hop is needed.
type way struct {
	target, port, hops int
	gateway            netip.Addr
	router             bool // whether the gateway leads further
	left               bool // out: the target is ambiguous
}

// own says whether the target is the node's own.
func (w *way) own() bool { return !w.gateway.IsValid() }

// walk finds the ways of one node after another in a graph.
type walk struct {
	graph  *graph
	ways   []way  // nearest first, the loopbacks' last
	turn   int    // which node's turn it is; what is marked with another is unmarked
	seen   []mark // by target
	passed []int  // by routing domain: the turn in which its seats were looked at
	routes []RoutePlan
}

type mark struct{ turn, way int }

func newWalk(g *graph) *walk {
	return &walk{graph: g, seen: make([]mark, len(g.targets)), passed: make([]int, len(g.seats))}
}

// from finds the ways of a routing domain, which a node without VRFs is: the fewest hops; of equal ways the one over the
// port, and then the router, declared first.
func (w *walk) from(node, domain int) {
	g := w.graph
	w.turn++
	w.ways = w.ways[:0]
	for _, s := range g.seats[domain] {
		w.add(way{target: s.subnet, port: s.port})
	}
	for i := 0; i < len(w.ways); i++ {
		here := w.ways[i]
		for _, router := range g.subnets[here.target].routers {
			if w.passed[router.domain] == w.turn {
				continue
			}
			w.passed[router.domain] = w.turn
			next := here
			next.hops++
			if here.hops == 0 {
				next.gateway, next.router = router.addr, true
			}
			for _, s := range g.seats[router.domain] {
				next.target = s.subnet
				w.add(next)
			}
		}
	}
	if node == domain {
		w.loopbacks(node)
	}
}

// loopbacks adds the ways to the addresses on the loopbacks: the node's own, and
// those of all nodes on a subnet that is reached.
func (w *walk) loopbacks(node int) {
	g := w.graph
	subnets := len(w.ways)
	for _, i := range g.loopbacks[node] {
		w.add(way{target: i})
	}
	for _, here := range w.ways[:subnets] {
		for _, s := range g.subnets[here.target].loopers {
			next := here
			if here.hops == 0 {
				next.gateway, next.router = s.addr, g.router[s.node]
			}
			for _, i := range g.loopbacks[s.node] {
				next.target = i
				w.add(next)
			}
		}
	}
}

// add keeps the first way to a target.
func (w *walk) add(found way) {
	if w.seen[found.target].turn == w.turn {
		return
	}
	w.seen[found.target] = mark{w.turn, len(w.ways)}
	w.ways = append(w.ways, found)
}

// overlaps calls f for the ways to targets that overlap, together. Those that are
// all on one node's loopback are at one place, and nobody confuses them.
func (w *walk) overlaps(f func(group []*way)) {
	g := w.graph
	if !g.overlap {
		return
	}
	var group []*way
	done := func() {
		one := len(group) == 0 || g.targets[group[0].target].node >= 0
		for _, way := range group {
			one = one && g.targets[way.target].node == g.targets[group[0].target].node
		}
		if len(group) > 1 && !one {
			f(group)
		}
		group = group[:0]
	}
	end := 0
	for at, i := range g.order {
		if w.seen[i].turn != w.turn {
			continue
		}
		if at >= end {
			done()
			end = g.until[at]
		}
		group = append(group, &w.ways[w.seen[i].way])
	}
	done()
}
