package topo

// Network is the declaration of a network: segments, and nodes with ports on
// them. Declaring never fails; Validate and Plan say everything that is wrong.
// A declaration is for one goroutine at a time.
type Network struct {
	name     string
	segments []*Segment
	nodes    []*Node
	older    aliases         // of a copy
	absent   []error         // what was asked for and is not there
	gone     map[string]bool // what was built and is taken away: "node web"
	fabric   []string        // of a copy: the names that bridges and ports of switches have
}

// New starts a declaration.
func New(name string) *Network { return &Network{name: name} }

// Name is the network's name.
func (n *Network) Name() string {
	if n == nil {
		return ""
	}
	return n.name
}

// Wire declares a segment of exactly two ports: one veth pair. The prefixes are
// IPv4 or IPv6 in CIDR notation; every port gets an address of each.
func (n *Network) Wire(name string, prefixes ...string) *Segment {
	return n.segment(name, KindWire, prefixes)
}

// Switch declares a segment of any number of ports, up to 1,023: a bridge.
func (n *Network) Switch(name string, prefixes ...string) *Segment {
	return n.segment(name, KindSwitch, prefixes)
}

// segment declares on a nil network as well: Plan says then what is wrong.
func (n *Network) segment(name string, kind Kind, prefixes []string) *Segment {
	s := &Segment{network: n, name: name, kind: kind, texts: append([]string(nil), prefixes...)}
	if n != nil {
		n.segments = append(n.segments, s)
	}
	return s
}

// Host declares a node that does not forward.
func (n *Network) Host(name string, at ...Attachment) *Node { return n.node(name, false, at) }

// Router declares a node that forwards between its segments.
func (n *Network) Router(name string, at ...Attachment) *Node { return n.node(name, true, at) }

func (n *Network) node(name string, router bool, at []Attachment) *Node {
	node := &Node{network: n, name: name, router: router, forward: router}
	for _, a := range at {
		node.ports = append(node.ports, portOf(a))
	}
	if n != nil {
		n.nodes = append(n.nodes, node)
	}
	return node
}

// Validate returns every mistake of the declaration at once, as *Mistakes; nil
// when there is none.
func (n *Network) Validate() error {
	_, err := n.Plan()
	return err
}

// String is the plan as a table, or the mistakes.
func (n *Network) String() string {
	plan, err := n.Plan()
	if err != nil {
		return err.Error()
	}
	return plan.String()
}
