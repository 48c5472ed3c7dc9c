package harness

import (
	"errors"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// Attach makes a node of a network namespace that exists already: /run/netns/fw,
// /proc/PID/ns/net. Probes and commands run there. The harness never configures
// it and never deletes it. It needs the privilege of the namespace's owner:
// inside the sandbox of an ordinary user the test fails with an error that says so.
func Attach(tb TB, name, path string) *Node {
	tb.Helper()
	node, err := attach(name, path)
	if err != nil {
		tb.Fatalf("%v", at(err, "attach %s", name))
		return nil
	}
	node.lab.tb = tb
	tb.Cleanup(node.lab.Down)
	return node
}

var errAttach = errors.New("entering a namespace of the machine needs privilege over it: run the tests as root")

func attach(name, path string) (*Node, error) {
	if !privileged() {
		return nil, errAttach
	}
	ns, err := holdPath(path)
	if err != nil {
		return nil, err
	}
	g := &ground{namespace: ns}
	err = once(ns.enter, func() error {
		g.rtnl, err = openRTNL()
		return err
	})
	if err != nil {
		ns.close()
		if errors.Is(err, unix.EPERM) {
			return nil, errAttach
		}
		return nil, err
	}
	plan := &topo.Plan{Name: name, Nodes: []topo.NodePlan{{Name: name}}}
	of := &layout{plan: plan, byName: map[string]*Node{}}
	lab := newLab(of)
	lab.attached = true
	node := newNode(lab, &plan.Nodes[0], g)
	of.nodes, of.byName[name] = []*Node{node}, node
	upLabs.Store(lab, true)
	return node, nil
}
