package topo

import "net/netip"

// PlanRoute plans a route that a node of the declaration is to be given besides, as Route
// does, where it has by now what a plan says: addresses that it was given since, too. The
// error is *Mistakes.
func (n *Network) PlanRoute(now *Plan, node string, route Route) (RoutePlan, error) {
	p, i, err := n.liveAt(now, node)
	if err != nil {
		return RoutePlan{}, err
	}
	made := p.declaredRoute(p.gateways(i), n.adoptRoute(route))
	return made, p.mistaken()
}

// PlanRule plans a rule of policy routing that a node of the declaration is to be given
// besides, as Rule does: one, or one for each family. Its priority must be said. The error
// is *Mistakes.
func (n *Network) PlanRule(now *Plan, node string, rule Rule) ([]RulePlan, error) {
	p, i, err := n.liveAt(now, node)
	if err != nil {
		return nil, err
	}
	where := "node " + p.nodeName(i) + ": rule"
	if rule.Priority == 0 {
		p.wrong("%s: it has no priority: say when it is to be asked", where)
	}
	made := p.planRule(where, i, n.adoptRule(rule))
	if err := p.mistaken(); err != nil {
		return nil, err
	}
	plan := &p.plan.Nodes[i]
	had := plan.Rules
	plan.Rules = nil
	p.addRule(i, made, rule)
	added := plan.Rules
	plan.Rules = had
	return added, p.mistaken()
}

// liveAt is a planner that is done with the declaration, and takes the nodes to be as the
// plan has them.
func (n *Network) liveAt(now *Plan, node string) (*planner, int, error) {
	if n == nil {
		return nil, 0, noNetwork()
	}
	p := n.planner()
	known, i := now != nil && now.index != nil, 0
	if known {
		i, known = now.index.nodes[node]
	}
	if !known || i >= len(p.plan.Nodes) {
		p.wrong("node %s: it is not of this network", shown(node))
	}
	if err := p.mistaken(); err != nil {
		return nil, 0, err
	}
	p.plan.Nodes = append([]NodePlan(nil), now.Nodes...)
	return p, i, nil
}

func (p *planner) mistaken() error {
	if len(p.mistakes) == 0 {
		return nil
	}
	return &Mistakes{Network: p.network.name, List: p.mistakes}
}

// With is the plan with another of its nodes: one of the same name, whose interfaces, or what
// they have, were changed.
func (p *Plan) With(node NodePlan) *Plan {
	p = p.here()
	next := *p
	next.Nodes = append([]NodePlan(nil), next.Nodes...)
	for i := range next.Nodes {
		if next.Nodes[i].Name == node.Name {
			next.Nodes[i] = node
		}
	}
	if p.index != nil {
		next.index = newIndex(&next, p.index.domain)
	}
	return &next
}

// Clone is a copy of the node that may be changed.
func (n *NodePlan) Clone() NodePlan {
	n = n.here()
	c := *n
	c.Ports = append([]PortPlan(nil), n.Ports...)
	c.Devices = append([]DevicePlan(nil), n.Devices...)
	for j := range c.Ports {
		c.Ports[j].Addrs = append([]netip.Prefix(nil), n.Ports[j].Addrs...)
	}
	for j := range c.Devices {
		c.Devices[j].Addrs = append([]netip.Prefix(nil), n.Devices[j].Addrs...)
	}
	c.Loopback = append([]netip.Prefix(nil), n.Loopback...)
	c.Routes = append([]RoutePlan(nil), n.Routes...)
	c.Rules = append([]RulePlan(nil), n.Rules...)
	return c
}
