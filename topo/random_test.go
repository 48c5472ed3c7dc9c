package topo_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/nstest/nstest/topo"
)

// world is a random network, and what the test knows of it besides the plan.
type world struct {
	network *topo.Network
	router  map[string]bool
}

// Few prefixes, so that many overlap: the same, one within another, or neither.
var (
	pool4 = []string{"10.0.0.0/16", "10.0.0.0/24", "10.0.1.0/24", "10.0.1.64/26", "10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/24", "192.168.0.0/25", "172.16.0.0/12"}
	pool6 = []string{"fd00::/48", "fd00::/64", "fd00:0:0:1::/64", "fd01::/64", "fd02::/64", "fd03::/64", "fd04::/120"}
)

// randomWorld makes the same network of the same seed, with overlaps, both
// families, several routers, and ports about which something was chosen.
func randomWorld(seed uint64) world {
	r := rand.New(rand.NewPCG(seed, 1))
	w := world{topo.New(fmt.Sprintf("random-%d", seed)), map[string]bool{}}
	unique := r.IntN(3) == 0 // a third of them without any overlap
	var switches []*topo.Segment
	for i := range 1 + r.IntN(7) {
		switches = append(switches, w.network.Switch(randomName(r, i), w.prefixes(r, unique, i)...))
	}
	nodes := 2 + r.IntN(9)
	wires := w.wires(r, unique, nodes)
	for i := range nodes {
		w.node(r, i, switches, wires[i])
	}
	return w
}

// randomName is unique, but not always in what an interface can take of it.
func randomName(r *rand.Rand, i int) string {
	return fmt.Sprintf([]string{"s%d", "tenant-%d/lan", "a-very-long-name-%d", "x/%d/lo"}[r.IntN(4)], i)
}

func (w *world) prefixes(r *rand.Rand, unique bool, i int) []string {
	if unique {
		return []string{fmt.Sprintf("10.%d.0.0/24", i), fmt.Sprintf("fd00:%x::/64", i)}[r.IntN(2):]
	}
	var prefixes []string
	for _, pool := range [][]string{pool4, pool6} {
		var of []netip.Prefix
		for range r.IntN(3) {
			prefix := netip.MustParsePrefix(pool[r.IntN(len(pool))])
			if len(of) == 0 || !of[0].Overlaps(prefix) {
				of = append(of, prefix)
				prefixes = append(prefixes, prefix.String())
			}
		}
	}
	r.Shuffle(len(prefixes), func(i, j int) { prefixes[i], prefixes[j] = prefixes[j], prefixes[i] })
	return prefixes
}

// wires connects pairs of nodes; the answer is each node's wires.
func (w *world) wires(r *rand.Rand, unique bool, nodes int) [][]*topo.Segment {
	wires := make([][]*topo.Segment, nodes)
	for i := range r.IntN(6) {
		prefixes := w.prefixes(r, unique, 100+i)
		if r.IntN(3) == 0 {
			prefixes = []string{fmt.Sprintf("10.200.%d.0/31", i), fmt.Sprintf("fd20:%x::/127", i)}
		}
		wire := w.network.Wire(fmt.Sprintf("wire-%d", i), prefixes...)
		one := r.IntN(nodes)
		other := (one + 1 + r.IntN(nodes-1)) % nodes
		wires[one] = append(wires[one], wire)
		wires[other] = append(wires[other], wire)
	}
	return wires
}

func (w *world) node(r *rand.Rand, i int, switches, wires []*topo.Segment) {
	var at []topo.Attachment
	segments := append([]*topo.Segment(nil), wires...)
	for range r.IntN(4) {
		segments = append(segments, switches[r.IntN(len(switches))])
	}
	for j, segment := range segments {
		port := segment.At()
		switch r.IntN(8) {
		case 0:
			port = port.NoAddress()
		case 1:
			port = port.MAC(fmt.Sprintf("02:00:00:00:%02x:%02x", i, j))
		case 2:
			port = port.Also(fmt.Sprintf("192.0.2.%d/32", 10*i+j), fmt.Sprintf("fd99::%x:%x/128", i, j))
		}
		at = append(at, port)
	}
	name := fmt.Sprintf("n%d", i)
	w.router[name] = r.IntN(2) == 0
	var node *topo.Node
	if w.router[name] {
		node = w.network.Router(name, at...)
	} else {
		node = w.network.Host(name, at...)
	}
	if r.IntN(5) == 0 {
		node.Loopback(fmt.Sprintf("198.51.100.%d/32", 1+i), fmt.Sprintf("fd98::%x/128", 1+i))
	}
	if r.IntN(8) == 0 {
		node.Loopback(fmt.Sprintf("10.%d.0.%d/32", r.IntN(5), 200+i)) // may lie in a segment's prefix
	}
}
