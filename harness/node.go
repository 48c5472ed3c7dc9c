package harness

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
)

// Node is one network namespace of a lab, or one that a test attached. Its
// methods may be called from any goroutine. Those of a nil Node return errors, and else nothing.
type Node struct {
	lab    *Lab
	name   string
	plan   *topo.NodePlan // as it was made by: see planned
	ground *ground
	own    *thread // for Do, started at first use

	changes Changes   // guarded by the lab's mu
	isGone  bool      // a change took it away; guarded as well
	init    *nodeInit // of its commands; guarded by theirs

	mu       sync.Mutex
	handle   *handle
	launcher *launcher
	layers   []string // root directories over the machine's: see Layer
}

func newNode(lab *Lab, plan *topo.NodePlan, g *ground) *Node {
	return &Node{lab: lab, name: plan.Name, plan: plan, ground: g, own: newThread(g.enter)}
}

// planned is what the plan has of the node.
func (n *Node) planned() *topo.NodePlan {
	if n.lab.found != nil || !n.lab.attached {
		if plan, ok := n.lab.Plan().Node(n.name); ok {
			return plan
		}
	}
	return n.plan // also of one that was taken away
}

// Name is the node's name in the declaration.
func (n *Node) Name() string { return n.here().name }

// String is the node's name.
func (n *Node) String() string { return n.here().name }

// Lab is the node's lab. A node of Attach has one of its own, with an empty plan; a nil node,
// and the zero one, has none: nil.
func (n *Node) Lab() *Lab {
	if n == nil {
		return nil
	}
	return n.lab
}

// Attached says whether the node's namespace is not the harness's own: see Attach and
// AttachLab.
func (n *Node) Attached() bool { return n.here().lab.attached }

// Do runs f on a thread that is in the node's namespace, and returns f's error.
// A panic in f, or a test's FailNow, happens in the caller. Sockets that f makes
// stay in the namespace and may be used from anywhere; goroutines that f starts
// are not in it. Do may nest, and f may block: the node's own thread does one
// piece of work at a time, and a throw-away thread does what comes meanwhile.
//
// These threads end, at the latest with the lab. A program that a test started by itself
// with Pdeathsig (prctl(2)) is killed when the thread that started it ends, which may be one
// of them; programs of Command and Start are not.
func (n *Node) Do(f func() error) error {
	n = n.here()
	if f == nil {
		return at(errNoFunction, "node %s: do", n.name)
	}
	ran, err := n.own.tryRun(f)
	if !ran {
		err = once(n.ground.enter, f)
	}
	return n.since(err)
}

// Visit runs f for each node in its namespace, one after another on one thread
// that steps from namespace to namespace: a step costs some 3 us, where Do costs
// two thread switches, 60 us. It is for making sockets in bulk. The first error
// ends it, and is returned.
func Visit(nodes []*Node, f func(*Node) error) error {
	if len(nodes) == 0 {
		return nil
	}
	if f == nil {
		return at(errNoFunction, "visit")
	}
	if i := slices.Index(nodes, nil); i >= 0 {
		return at(errors.New("there is no node"), "visit: node %d of %d", i+1, len(nodes))
	}
	return once(nodes[0].enter, func() error {
		for i, node := range nodes {
			if i > 0 {
				if err := node.enter(); err != nil {
					return at(err, "node %s", node.name)
				}
			}
			if err := f(node); err != nil {
				return err
			}
		}
		return nil
	})
}

// Path is a path to the node's namespace, /proc/PID/fd/N, for programs that want
// one: CNI plugins, VPN daemons, nsenter --net=. It is good while the lab is up.
func (n *Node) Path() string { return n.here().ground.path() }

// Inode is the inode number of the namespace: the N of net:[N] in /proc.
func (n *Node) Inode() uint64 { return n.here().ground.inode }

// Netlink is a netlink handle in the node's namespace, of every family that package
// netlink speaks (route, xfrm, netfilter, generic, socket diagnostics, RDMA), opened
// at first use and closed with the lab. It works in the node, from any goroutine, or
// fails: after Down, and for a family that the kernel lacks, with "bad file
// descriptor". Do not call its Close, after which package netlink would act on the
// machine. A handle that cannot be opened (no descriptors) fails the test.
func (n *Node) Netlink() *netlink.Handle {
	n = n.here()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.handle != nil {
		return n.handle.Handle
	}
	err := n.Do(func() error {
		var err error
		n.handle, err = openHandle()
		return err
	})
	if errors.Is(err, errDown) || errors.Is(err, errGone) || errors.Is(err, errAbsent) {
		n.handle, err = deadHandle()
	}
	if err != nil {
		n.lab.tb.Helper()
		n.lab.tb.Fatalf("%v", at(err, "node %s: open netlink handle", n.name))
		return nil
	}
	return n.handle.Handle
}

// Addrs are the node's planned addresses, interface by interface, then those of its
// loopback: in a lab of AttachLab those that it has now. A node of Attach has no plan,
// and so none here.
func (n *Node) Addrs() []netip.Addr { return addrsIn(n.here().planned()) }

func addrsIn(plan *topo.NodePlan) (addrs []netip.Addr) {
	for _, device := range plan.Devices {
		for _, prefix := range device.Addrs {
			addrs = append(addrs, prefix.Addr())
		}
	}
	for _, prefix := range plan.Loopback {
		addrs = append(addrs, prefix.Addr())
	}
	return addrs
}

// Addr is the first of Addrs; the zero Addr when there is none.
func (n *Node) Addr() netip.Addr {
	if addrs := n.Addrs(); len(addrs) > 0 {
		return addrs[0]
	}
	return netip.Addr{}
}

// Endpoint is a node's addresses on one segment.
type Endpoint struct {
	Node    *Node
	Segment string
}

// On is the node on one segment: a target that leaves no choice of address.
// A segment that the node is not on fails the test and lists the right ones.
func (n *Node) On(segment string) Endpoint {
	n.here().lab.tb.Helper()
	if port := n.Port(segment); port != nil {
		segment = port.plan.Segment
	}
	return Endpoint{n, segment}
}

// Addrs are the addresses, IPv4 and IPv6, in order of declaration.
func (e Endpoint) Addrs() []netip.Addr {
	var addrs []netip.Addr
	for _, device := range e.Node.here().planned().Devices {
		if device.Segment == e.Segment || device.Kind != topo.PortKind && e.joined(device.Segment) {
			for _, prefix := range device.Addrs {
				addrs = append(addrs, prefix.Addr())
			}
		}
	}
	return addrs
}

// joined says whether a bridge joins the segment to another: the bridge has the addresses.
func (e Endpoint) joined(segment string) bool {
	plan := e.Node.here().lab.Plan()
	return segment != "" && plan.Link(segment) == plan.Link(e.Segment)
}

// String is node and segment: fw/dmz.
func (e Endpoint) String() string { return e.Node.Name() + "/" + e.Segment }

// settle brings in what a finished network allows: sysctls of ports, and rules.
func (n *Node) settle() error {
	if slices.ContainsFunc(n.plan.Sysctls, func(s topo.Sysctl) bool { return ofPort(n.plan, s.Key) }) {
		if err := n.Do(func() error { return setDeclared(n.plan, true) }); err != nil {
			return err
		}
	}
	for _, rules := range n.plan.Rulesets {
		if err := n.load(rules); err != nil {
			return err
		}
	}
	return nil
}

// load loads a text of rules.
func (n *Node) load(rules topo.Ruleset) error {
	if err := n.lab.exists(); err != nil {
		return err
	}
	switch rules.Loader {
	case "nft":
		return n.loadNft(rules.Text)
	case "ipset":
		return n.loadIpset(rules.Text)
	}
	return n.loadIptables(rules.Loader, rules.Text)
}

// close ends the node's threads and closes its descriptors.
func (n *Node) close() {
	n.mu.Lock()
	handle, launcher := n.handle, n.launcher
	n.launcher = nil // the handle stays, closed
	n.mu.Unlock()
	if handle != nil {
		handle.close()
	}
	if launcher != nil {
		launcher.close()
	}
	n.own.close()
	n.ground.close()
}

// portNames lists the segments of a node, for a mistake's message.
func (n *Node) portNames() string {
	var names []string
	for _, port := range n.planned().Ports {
		names = append(names, port.Segment)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
