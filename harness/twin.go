package harness

import (
	"errors"
	"fmt"
)

// deed is something that was done to a lab, to be done again to its twin.
type deed struct {
	what  string // was changed: "node fw"
	again func(*Lab) error
}

// did notes what was done to the node, when it worked.
func (n *Node) did(err error, again func(*Node) error) error {
	n = n.here()
	if err != nil {
		return at(err, "node %s", n.name)
	}
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	if !n.lab.attached {
		n.lab.done = append(n.lab.done, deed{"node " + n.name, func(twin *Lab) error { return again(twin.now().byName[n.name]) }})
	}
	return nil
}

// Twin builds a second lab from the same plan, and does to it what was done to this
// one with Node.Nft, Iptables, Ip6tables and SetSysctl, with AddAddr, AddRoute, AddRule,
// AddNeighbour and their opposites, with Port.Up and Down and what sets a switch's end
// (Port.SetIsolated and so on), with Port.Impair, Lab.Partition and Heal, and with Lab.Change. Who wants to know what would be
// without a rule takes it away there. The caller calls its Down; no bundle is written of it.
//
// What was changed by other means (a command, a netlink handle, Nftables) is not
// known. Twin compares links and bridges, addresses, routes, neighbours that are permanent or
// answered for, rulesets, sets of ipset, xfrm, tc, XDP, IPVS and the sysctls that decide
// about packets; where they differ the error says what does, and there is no twin. It does
// not know about processes and connections, nor about those that are tracked.
func (l *Lab) Twin() (*Lab, error) {
	l = l.here()
	l.changing.RLock()
	defer l.changing.RUnlock()
	if err := l.exists(); err != nil {
		return nil, at(err, "twin")
	}
	if l.attached {
		return nil, fmt.Errorf("twin: %s was attached, and not built from a plan", l.Name())
	}
	twin, err := buildPlan(l.first)
	if err != nil {
		return nil, at(err, "twin")
	}
	twin.declared = l.declared
	l.mu.Lock()
	done := l.done
	l.mu.Unlock()
	for _, d := range done {
		if err := d.again(twin); err != nil {
			twin.Down()
			return nil, at(err, "twin: %s: do again what was done", d.what)
		}
	}
	if err := l.holdTuns(twin); err != nil {
		twin.Down()
		return nil, at(err, "twin")
	}
	if err := l.compare(twin); err != nil {
		twin.Down()
		return nil, at(err, "twin")
	}
	changes := map[string]Changes{}
	for _, node := range l.now().nodes {
		changes[node.name] = node.Changes()
	}
	twin.mu.Lock()
	defer twin.mu.Unlock()
	for _, node := range twin.now().nodes {
		node.changes = changes[node.name]
	}
	twin.tb, twin.done = twinTB{l.tb}, done
	return twin, nil
}

// IsTwin says whether the lab was made by Twin.
func (l *Lab) IsTwin() bool {
	_, is := l.here().tb.(twinTB)
	return is
}

// twinTB is the test of a twin, which never has a bundle: it is not what failed.
type twinTB struct{ TB }

func (twinTB) Failed() bool { return false }

// compare says where the nodes of two labs of one plan differ.
func (l *Lab) compare(twin *Lab) error {
	places := func(l *Lab) (names []string, grounds []*ground) {
		for _, node := range l.now().nodes {
			names, grounds = append(names, "node "+node.name), append(grounds, node.ground)
		}
		if l.now().fabric != nil {
			names, grounds = append(names, "the switches"), append(grounds, l.now().fabric)
		}
		return names, grounds
	}
	names, own := places(l)
	_, others := places(twin)
	var differences []error
	for i := range own {
		mine, its, err := bothGrounds(own[i], others[i], lastingOf)
		if err != nil {
			return at(err, "%s", names[i])
		}
		if own[i] == l.now().fabric {
			mine.withoutMACs()
			its.withoutMACs()
		}
		if text := mine.differs(its); text != "" {
			differences = append(differences, at(errors.New(text), "%s: changed by other means than the harness's", names[i]))
		}
	}
	return errors.Join(append(differences, l.compareOVS(twin)...)...)
}

// lastingOf reads the shape that twins have in common.
func lastingOf(g *ground) (shape, error) { return shapeOf(g, allParts) }

// bothGrounds reads two at once: of many rules or elements of sets, that takes the most of what a twin takes.
func bothGrounds[T any](a, b *ground, read func(*ground) (T, error)) (one, other T, err error) {
	done := make(chan error, 1)
	go func() {
		var failed error
		other, failed = read(b)
		done <- failed
	}()
	one, err = read(a)
	return one, other, errors.Join(err, <-done)
}
