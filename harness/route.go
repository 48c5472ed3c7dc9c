package harness

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// AddRoute gives the node a route, as topo's Node.Route declares one. What is wrong with it
// is an error, and so is a route that the node has already.
func (n *Node) AddRoute(route topo.Route) error {
	var made topo.RoutePlan
	var had *topo.NodePlan // with the interfaces that it leads by
	add := func(n *Node) error {
		if !made.To.IsValid() { // a twin gets what was planned
			var err error
			had = n.planned()
			if made, err = n.lab.declared.PlanRoute(n.lab.now().plan, n.name, route); err != nil {
				return at(err, "add route")
			}
		}
		b := new(batch)
		b.addRoute(made, n.lab.now().site.indexesOf(n.name), describe("add route %s", routeText(made)))
		return n.ground.rtnl.do(b)
	}
	err := n.alter(add, func(p *topo.NodePlan) {
		if !by(beyond(had, p), made) && !slices.ContainsFunc(p.Routes, func(r topo.RoutePlan) bool { return reflect.DeepEqual(r, made) }) {
			p.Routes = append(p.Routes, made)
		}
	})
	n.changed(err, func(c *Changes) {
		if made.Table == 0 {
			c.Routes = slices.DeleteFunc(c.Routes, func(to netip.Prefix) bool { return to == made.To })
		}
	})
	return err
}

// DelRoute takes the node's routes to a destination away, those of the main table, or those
// of the tables that are named: 0.0.0.0/0 and ::/0 are the default routes. Without one it
// is an error. A probe that finds no route then is stopped by a policy, as with topo's
// NoRoutes, where one that nobody took away looks like a mistake.
func (n *Node) DelRoute(to netip.Prefix, tables ...int) error {
	if len(tables) == 0 {
		tables = []int{unix.RT_TABLE_MAIN}
	}
	main := slices.Contains(tables, unix.RT_TABLE_MAIN)
	del := func(n *Node) error { return n.delRoute(to, tables) }
	n = n.here()
	if n.lab.attached {
		err := at(del(n), "node %s", n.name)
		n.changed(err, func(c *Changes) { c.Routes = append(c.Routes, to.Masked()) })
		return err
	}
	err := n.alter(del, func(*topo.NodePlan) {})
	n.changed(err, func(c *Changes) {
		if main {
			c.Routes = append(c.Routes, to.Masked())
		}
	})
	return err
}

func (n *Node) delRoute(to netip.Prefix, tables []int) error {
	if !to.IsValid() {
		return errors.New("delete route: no destination: give a prefix")
	}
	routes, err := inspect.NetlinkRoutes(n.Netlink())
	if err != nil {
		return at(err, "delete route to %s: list routes", to)
	}
	found := false
	for _, r := range routes {
		if slices.Contains(tables, r.Table) && inspect.RouteOf(r).To == to.Masked() {
			found = true
			if err := n.Netlink().RouteDel(&r); err != nil {
				return at(err, "delete route to %s", to)
			}
		}
	}
	if !found {
		return at(errors.New("there is none"), "delete route to %s", to)
	}
	return nil
}

// firstRule is the priority of the first rule that has none of its own, as in a plan.
const firstRule = 10000

// AddRule gives the node a rule of policy routing, as topo's Node.Rule declares one: for
// IPv4, IPv6 or both. Without a priority it is asked after those that had none either.
func (n *Node) AddRule(rule topo.Rule) error {
	var made []topo.RulePlan
	add := func(n *Node) error {
		if made == nil {
			if rule.Priority == 0 {
				rule.Priority = firstRule
				for _, other := range n.planned().Rules {
					rule.Priority = max(rule.Priority, other.Priority+1)
				}
			}
			var err error
			if made, err = n.lab.declared.PlanRule(n.lab.now().plan, n.name, rule); err != nil {
				return at(err, "add rule")
			}
		}
		return n.setRules(made, (*batch).addRule, (*batch).delRule)
	}
	return n.alter(add, func(p *topo.NodePlan) { p.Rules = append(p.Rules, made...) })
}

// DelRule takes a rule of policy routing away that the plan has, or that AddRule gave: the
// same, but that without a priority it is any such. Without one it is an error.
func (n *Node) DelRule(rule topo.Rule) error {
	var gone []topo.RulePlan
	del := func(n *Node) error {
		if gone == nil {
			var err error
			if gone, err = n.rulesLike(rule); err != nil {
				return at(err, "delete rule")
			}
		}
		return n.setRules(gone, (*batch).delRule, (*batch).addRule)
	}
	return n.alter(del, func(p *topo.NodePlan) {
		p.Rules = slices.DeleteFunc(p.Rules, func(r topo.RulePlan) bool {
			return slices.ContainsFunc(gone, func(g topo.RulePlan) bool { return reflect.DeepEqual(g, r) })
		})
	})
}

// rulesLike are those of the node that a declaration says.
func (n *Node) rulesLike(rule topo.Rule) (like []topo.RulePlan, err error) {
	plan, priority := n.planned(), rule.Priority
	bare := plan.Clone()
	bare.Rules = nil
	if rule.Priority == 0 {
		rule.Priority = firstRule
	}
	made, err := n.lab.declared.PlanRule(n.lab.now().plan.With(bare), n.name, rule)
	if err != nil {
		return nil, err
	}
	for _, has := range plan.Rules {
		for _, want := range made {
			if priority == 0 {
				want.Priority = has.Priority
			}
			if reflect.DeepEqual(has, want) {
				like = append(like, has)
			}
		}
	}
	if len(like) == 0 {
		return nil, fmt.Errorf("there is no %s", made[0])
	}
	return like, nil
}

// setRules does one thing with all rules, or undoes it where the kernel refuses one.
func (n *Node) setRules(all []topo.RulePlan, do, undo func(*batch, topo.RulePlan, func() string)) error {
	b := new(batch)
	for _, rule := range all {
		do(b, rule, describe("rule %s", rule))
	}
	err := n.ground.rtnl.do(b)
	if err == nil {
		return nil
	}
	back := new(batch)
	for i, rule := range all {
		if b.took(i) {
			undo(back, rule, describe("undo rule %s", rule))
		}
	}
	return errors.Join(err, n.ground.rtnl.do(back))
}
