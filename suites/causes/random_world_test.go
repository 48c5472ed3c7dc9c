package causes_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// world is a random network with random rules and faults, the same of the same seed.
type world struct {
	seed    uint64
	r       *rand.Rand
	network *topo.Network
	v4, v6  bool
	ends    []string // the nodes that have addresses
	asked   []probes.Probe
	served  map[string][]probes.Probe
	deeds   []deed
	// translates is true when rules change addresses.
	translates bool

	kinds    []bool // by node: it forwards
	segments []*segment
}

// segment is a wire or a switch, with the nodes that are on it, by number.
type segment struct {
	name  string
	nodes []int
	topo  *topo.Segment
	open  bool // a switch, which others may join
}

// deed is what is done to the lab once it is up, and cannot be declared.
type deed struct {
	text string
	do   func(*harness.Lab) error
}

// How long an answer may take; only what nothing answers takes as long. Kernels
// answer at once, and repeat a question after a second, which is not to count;
// datagrams are answered by this very process, when it is its turn.
const (
	bound         = 400 * time.Millisecond
	datagramBound = time.Second
)

// newWorld makes the world of a seed. One in five is a bridge between hosts.
func newWorld(seed uint64) *world {
	r := rand.New(rand.NewPCG(seed, 3))
	w := &world{seed: seed, r: r, served: map[string][]probes.Probe{}}
	w.network = topo.New(fmt.Sprintf("random-%d", seed))
	w.v4, w.v6 = true, true
	switch r.IntN(3) {
	case 0:
		w.v6 = false
	case 1:
		w.v4 = false
	}
	if r.IntN(5) == 0 {
		w.bridged()
	} else {
		w.routed()
	}
	w.asked = []probes.Probe{probes.ICMP().Within(bound), probes.TCP(80).Within(bound), probes.UDP(53).Within(datagramBound), probes.TCP(81).Within(bound)}
	r.Shuffle(len(w.asked), func(i, j int) { w.asked[i], w.asked[j] = w.asked[j], w.asked[i] })
	w.asked = w.asked[:2]
	for _, name := range w.ends {
		for _, p := range []probes.Probe{probes.TCP(80), probes.UDP(53)} {
			if r.IntN(4) > 0 {
				w.served[name] = append(w.served[name], p)
			}
		}
	}
	return w
}

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.r.IntN(n) == 0 }

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// prefixes are those of a segment by its number.
func (w *world) prefixes(i int) (texts []string) {
	if w.v4 {
		texts = append(texts, fmt.Sprintf("10.0.%d.0/24", i))
	}
	if w.v6 {
		texts = append(texts, fmt.Sprintf("fd00:%d::/64", i))
	}
	return texts
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i) }

// routed is a tree of hosts and routers, with sometimes a way around.
func (w *world) routed() {
	nodes := pick(w.r, 2, 3, 3, 4, 4, 5)
	for i := range nodes {
		w.kinds = append(w.kinds, i == 0 && nodes > 2 || w.chance(2))
	}
	for i := 1; i < nodes; i++ {
		w.attach(i)
	}
	if nodes > 2 && w.chance(3) {
		a := w.r.IntN(nodes)
		w.join(a, (a+1+w.r.IntN(nodes-1))%nodes)
	}
	for i, s := range w.segments {
		if s.open = len(s.nodes) != 2 || s.open; s.open {
			s.topo = w.network.Switch(s.name, w.prefixes(i)...)
		} else {
			s.topo = w.network.Wire(s.name, w.prefixes(i)...)
		}
	}
	for i := range nodes {
		w.declare(i)
	}
	if w.chance(10) {
		s := pick(w.r, w.segments...)
		w.portDown(nodeName(pick(w.r, s.nodes...)), s.name)
	}
}

// attach puts a node on a switch that is there, or beside a router.
func (w *world) attach(i int) {
	for _, s := range w.segments {
		if s.open && w.chance(2) {
			s.nodes = append(s.nodes, i)
			return
		}
	}
	var routers []int
	for j := range i {
		if w.kinds[j] || i == 1 {
			routers = append(routers, j)
		}
	}
	w.join(pick(w.r, routers...), i)
}

// join makes a segment of two nodes.
func (w *world) join(a, b int) {
	s := &segment{name: fmt.Sprintf("s%d", len(w.segments)), nodes: []int{a, b}, open: w.chance(2)}
	w.segments = append(w.segments, s)
}

// declare declares a node with its routes and rules.
func (w *world) declare(i int) {
	var at []topo.Attachment
	var ports []string
	for _, s := range w.segments {
		if slices.Contains(s.nodes, i) {
			at, ports = append(at, s.topo), append(ports, s.name)
		}
	}
	name := nodeName(i)
	add := w.network.Host
	if w.kinds[i] {
		add = w.network.Router
	}
	node := add(name, at...)
	if w.kinds[i] && w.chance(8) {
		node.NoForward()
	}
	w.ends = append(w.ends, name)
	w.routes(node)
	if w.chance(3) {
		w.rules(node, ports, "inet", "inet", "ip", "ip6", "netdev")
	}
	if w.kinds[i] && w.chance(8) {
		w.translate(node)
	}
	if w.chance(12) {
		w.markedAway(name)
	}
}

// routes gives a node routes that lead nowhere, or takes those that it has.
func (w *world) routes(node *topo.Node) {
	if w.chance(15) {
		node.NoRoutes()
	}
	if !w.chance(5) {
		return
	}
	kind := pick(w.r, topo.Blackhole, topo.Unreachable, topo.Prohibit)
	segment := w.r.IntN(len(w.segments))
	// More specific than what the node has.
	var to []string
	if w.v4 {
		to = append(to, fmt.Sprintf("10.0.%d.0/%d", segment, pick(w.r, 25, 30)))
	}
	if w.v6 {
		to = append(to, fmt.Sprintf("fd00:%d::/%d", segment, pick(w.r, 65, 126)))
	}
	node.Route(topo.Route{To: pick(w.r, to...), Type: kind})
}

// portDown takes a port down.
func (w *world) portDown(node, segment string) {
	w.deeds = append(w.deeds, deed{"port " + segment + " of " + node + " is down", func(lab *harness.Lab) error {
		return lab.Node(node).Port(segment).Down()
	}})
}

// markedAway leads what has a mark into a route that ends it.
func (w *world) markedAway(node string) {
	ends := pick(w.r, unix.RTN_BLACKHOLE, unix.RTN_PROHIBIT, unix.RTN_UNREACHABLE)
	w.deeds = append(w.deeds, deed{fmt.Sprintf("at %s what has mark 1 meets a route of type %d", node, ends), func(lab *harness.Lab) error {
		var errs []error
		for family, to := range map[int]string{netlink.FAMILY_V4: "0.0.0.0/0", netlink.FAMILY_V6: "::/0"} {
			rule := lookup()
			rule.Mark, rule.Family, rule.Priority = 1, family, 90
			errs = append(errs, lab.Node(node).Netlink().RuleAdd(&rule),
				lab.Node(node).Netlink().RouteAdd(&netlink.Route{Dst: prefix(to), Type: ends, Table: table}))
		}
		return errors.Join(errs...)
	}})
}

// bridged is two or three hosts on the ports of a bridge, which has no address.
func (w *world) bridged() {
	hosts := 2 + w.r.IntN(2)
	var ports []string
	var at []topo.Attachment
	for i := range hosts {
		s := &segment{name: fmt.Sprintf("s%d", i), nodes: []int{i}}
		s.topo = w.network.Wire(s.name, w.prefixes(0)...)
		w.segments = append(w.segments, s)
		ports, at = append(ports, s.name), append(at, s.topo.NoAddress())
		var addrs []string
		for _, text := range w.prefixes(0) {
			addr := netip.MustParsePrefix(text).Addr()
			for range i + 1 {
				addr = addr.Next()
			}
			addrs = append(addrs, addr.String())
		}
		node := w.network.Host(nodeName(i), s.topo.At(addrs...))
		w.ends = append(w.ends, nodeName(i))
		if w.chance(5) {
			w.rules(node, []string{s.name}, "inet", "ip", "ip6", "netdev")
		}
	}
	bridge := w.network.Host("br", at...)
	w.deeds = append(w.deeds, deed{"br is a bridge", func(lab *harness.Lab) error { return makeBridge(lab.Node("br"), ports) }})
	if !w.chance(4) {
		w.rules(bridge, ports, "bridge", "bridge", "netdev")
	}
	if w.chance(4) {
		isolated := ports[:2]
		w.deeds = append(w.deeds, deed{"ports " + strings.Join(isolated, ", ") + " of br are isolated", func(lab *harness.Lab) error {
			return setIsolated(lab.Node("br"), isolated, true)
		}})
	}
	if w.chance(8) {
		w.portDown(pick(w.r, "br", nodeName(0)), ports[0])
	}
}

func makeBridge(node *harness.Node, ports []string) error {
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
}

func setIsolated(node *harness.Node, ports []string, yes bool) error {
	var errs []error
	for _, port := range ports {
		link, err := node.Netlink().LinkByName(port)
		errs = append(errs, err)
		if err == nil {
			errs = append(errs, node.Netlink().LinkSetIsolated(link, yes))
		}
	}
	return errors.Join(errs...)
}

// String is all that there is to know of it.
func (w *world) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n", w.network)
	plan, err := w.network.Plan()
	if err != nil {
		return err.Error()
	}
	for _, node := range plan.Nodes {
		for _, rules := range node.Nft {
			fmt.Fprintf(&text, "rules of %s:\n%s\n", node.Name, rules)
		}
	}
	for _, d := range w.deeds {
		fmt.Fprintln(&text, d.text)
	}
	for _, name := range w.ends {
		fmt.Fprintf(&text, "%s serves %v\n", name, w.served[name])
	}
	fmt.Fprintf(&text, "asked: %v\n", w.asked)
	return text.String()
}
