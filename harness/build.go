package harness

import (
	"errors"
	"fmt"
	"sync"

	"github.com/nstest/nstest/topo"
)

// site is a lab under construction.
type site struct {
	plan    *topo.Plan
	ipv6    bool
	grounds map[string]*ground // by node
	fabric  *ground
	indexes map[spot]int   // a node's interface
	outer   map[spot]int   // in the fabric, the end at the switch
	bridges map[string]int // in the fabric, by segment
	// fabricNext is the next index that nobody in the fabric has had.
	fabricNext int
	isUp       map[spot]bool // the outer ends of wires
	owners     map[string]*topo.NodePlan
	// last is what was chosen of a switch's end last; nil until the lab is up.
	last func(spot) topo.SwitchPort
	ovs  *ovsDaemons // of its Open vSwitches; nil without any
}

// spot is a port by name.
type spot struct{ node, port string }

// build makes a network real. On an error nothing is left of it.
func build(network *topo.Network) (*Lab, error) {
	if network == nil {
		return nil, errors.New("no network: declare one with topo.New")
	}
	plan, err := network.Plan()
	if err != nil {
		return nil, err
	}
	lab, err := buildPlan(plan)
	if err == nil {
		lab.declared = network.Copy(nil)
	}
	return lab, err
}

// buildPlan makes a plan real, as often as it is called.
func buildPlan(plan *topo.Plan) (*Lab, error) {
	if err := preflight(plan); err != nil {
		return nil, err
	}
	if inUserNamespace() {
		go ownFiles() // which the first command needs, and takes 10 ms of
	}
	s := &site{plan: plan, ipv6: hasIPv6(plan)}
	s.outer, s.isUp = map[spot]int{}, map[spot]bool{}
	s.number()
	if err := s.makeGrounds(); err != nil {
		return nil, err
	}
	if err := s.startOVS(); err != nil {
		s.close()
		return nil, err
	}
	if err := s.makeLinks(); err != nil {
		s.close()
		return nil, err
	}
	lab := s.lab()
	if err := lab.settle(s); err != nil {
		lab.Down()
		return nil, err
	}
	upLabs.Store(lab, true)
	return lab, nil
}

// number gives every interface its index, so that nobody ever has to ask.
func (s *site) number() {
	s.indexes, s.owners = map[spot]int{}, map[string]*topo.NodePlan{}
	for i := range s.plan.Nodes {
		node := &s.plan.Nodes[i]
		s.owners[node.Name] = node
		for j := range node.Devices {
			s.indexes[spot{node.Name, node.Devices[j].Name}] = node.Devices[j].Index
		}
	}
}

func (s *site) hasSwitch() bool {
	for _, segment := range s.plan.Segments {
		if segment.Kind.IsSwitch() {
			return true
		}
	}
	return false
}

func (s *site) makeGrounds() error {
	var prepare []func() error
	for i := range s.plan.Nodes {
		prepare = append(prepare, s.prepare(&s.plan.Nodes[i]))
	}
	if s.hasSwitch() {
		prepare = append(prepare, prepareFabric)
	}
	grounds, err := makeGrounds(prepare)
	if err != nil {
		return err
	}
	s.grounds = make(map[string]*ground, len(grounds))
	for i := range s.plan.Nodes {
		s.grounds[s.plan.Nodes[i].Name] = grounds[i]
	}
	if s.hasSwitch() {
		s.fabric = grounds[len(grounds)-1]
	}
	return nil
}

// prepare gives a node's namespace what it needs before its links.
func (s *site) prepare(node *topo.NodePlan) func() error {
	return func() error {
		_ = oddNeighbours() // who asks first is to be in a new namespace
		err := setBase(base(node, s.ipv6))
		if err == nil {
			err = setDeclared(node, false)
		}
		return at(err, "%s", title(node))
	}
}

func prepareFabric() error {
	if noIPv6() {
		return nil
	}
	return at(setBase([]topo.Sysctl{silent6}), "fabric")
}

func (s *site) close() {
	s.ovs.close()
	for _, g := range s.grounds {
		g.close()
	}
	s.fabric.close()
}

// title is a node's place in an error: "host bob", "router fw".
func title(node *topo.NodePlan) string {
	if node.Forward {
		return "router " + node.Name
	}
	return "host " + node.Name
}

// makeLinks makes the pairs, then gives each node its addresses and routes,
// then waits until they work. Pairs gain nothing from a second thread (rtnl),
// the nodes' own batches a little.
func (s *site) makeLinks() error {
	if err := s.makePairs(); err != nil {
		return err
	}
	if err := s.giveVLANs(); err != nil {
		return err
	}
	if err := s.makeOVS(); err != nil {
		return err
	}
	if err := inParallel(s.plan.Nodes, s.configure); err != nil {
		return err
	}
	return s.ready()
}

// inParallel does f for every node, on as many goroutines as there are builders.
func inParallel(nodes []topo.NodePlan, f func(*topo.NodePlan) error) error {
	errs := make([]error, builders)
	var working sync.WaitGroup
	for worker := range builders {
		working.Go(func() {
			for i := worker; i < len(nodes) && errs[worker] == nil; i += builders {
				errs[worker] = f(&nodes[i])
			}
		})
	}
	working.Wait()
	return errors.Join(errs...)
}

// configure makes a node's own devices, brings its interfaces up with their addresses and
// adds its routes.
// The outer end of a wire is up since it was made.
func (s *site) configure(node *topo.NodePlan) error {
	b := new(batch)
	own, err := s.addDevices(b, node)
	if err != nil {
		return at(err, "%s", title(node))
	}
	b.setLink(loIndex, true, describe("port lo: set up"))
	for _, prefix := range node.Loopback {
		b.addAddr(loIndex, prefix, describe("port lo: set address %s", prefix))
	}
	for i := range node.Devices {
		d := &node.Devices[i]
		for _, r := range ownNeighbourParms(d, s.ipv6) {
			r.do(b)
		}
		for _, prefix := range d.Addrs {
			b.addAddr(d.Index, prefix, describe("port %s: set address %s", d.Name, prefix))
		}
		if d.Kind == topo.PortKind && !s.isUp[spot{node.Name, d.Name}] {
			b.setLink(d.Index, true, describe("port %s: set up", d.Name))
		}
	}
	for _, d := range own { // what one is made on must be up
		b.setLink(d.Index, true, describe("%s %s: set up", d.Kind, d.Name))
		b.addEntries(d)
	}
	index := s.indexesOf(node.Name)
	for _, route := range node.Routes {
		b.addRoute(route, index, describe("add route %s", routeText(route)))
	}
	for _, rule := range node.Rules {
		b.addRule(rule, describe("add rule %s", rule))
	}
	if err := s.grounds[node.Name].rtnl.do(b); err != nil {
		return at(err, "%s", title(node))
	}
	return at(s.tellsAll(node), "%s", title(node))
}

// indexesOf finds the indexes of a node's interfaces by their names; 0 for none.
func (s *site) indexesOf(node string) func(string) int {
	return func(name string) int { return s.indexes[spot{node, name}] }
}

func routeText(route topo.RoutePlan) string {
	text := route.To.String()
	if route.Type != topo.Unicast {
		text = route.Type.String() + " " + text
	}
	if route.Via.IsValid() {
		text += " via " + route.Via.String()
	}
	for _, hop := range route.Hops {
		text += fmt.Sprintf(" nexthop via %s dev %s", hop.Via, hop.Dev)
	}
	if route.Dev != "" {
		text += " dev " + route.Dev
	}
	return text
}

// lab makes the lab of a finished site.
func (s *site) lab() *Lab {
	of := &layout{plan: s.plan, site: s, fabric: s.fabric, byName: make(map[string]*Node, len(s.plan.Nodes))}
	lab := newLab(of)
	lab.first, lab.planned = s.plan, s.plan
	s.last = func(which spot) topo.SwitchPort {
		lab.mu.Lock()
		defer lab.mu.Unlock()
		return lab.switchPort(which)
	}
	for i := range s.plan.Nodes {
		plan := &s.plan.Nodes[i]
		node := newNode(lab, plan, s.grounds[plan.Name])
		of.nodes = append(of.nodes, node)
		of.byName[plan.Name] = node
	}
	return lab
}

// settle does what needs a working network: the sysctls of ports, the rules, and
// what was chosen of the switches' ports.
func (l *Lab) settle(s *site) error {
	var ports []spot
	for _, node := range l.now().nodes {
		if err := node.settle(); err != nil {
			return at(err, "%s", title(node.plan))
		}
		for i := range node.plan.Ports {
			ports = append(ports, spot{node.name, node.plan.Ports[i].Name})
		}
	}
	if err := s.giveSwitches(ports); err != nil {
		return err
	}
	if err := s.giveFlows(); err != nil {
		return err
	}
	return s.impairPorts(ports)
}
