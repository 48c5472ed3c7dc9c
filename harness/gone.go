package harness

import (
	"errors"
	"slices"
)

// ending is what was registered for the end of a lab, or of one of its nodes.
type ending struct {
	node *Node // nil is the lab's
	run  func()
}

// OnGone registers f to run when the node goes, before its descriptors close: when Lab.Change
// takes it away, or else when its lab goes down, as what Lab.OnDown registers. What was
// registered last runs first. When the node is gone already, f runs at once; a nil f is
// nothing to do.
func (n *Node) OnGone(f func()) { n.here().lab.atEnd(n.here(), f) }

// Keep is Lab.Keep of what is known of a node: it ends with the node.
func (n *Node) Keep(key any, make func() any) any {
	n = n.here()
	return n.lab.keep(ofNode{n, key}, make)
}

// since is an error that says that the node's lab is down, or what is so of a node that went
// before.
func (n *Node) since(err error) error {
	if !errors.Is(err, errDown) {
		return err
	}
	if err := n.lab.exists(); err != nil {
		return err
	}
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	if n.isGone {
		return errGone
	}
	return err
}

// enter takes the calling thread into the node's namespace. It never comes back.
func (n *Node) enter() error {
	n = n.here()
	return n.since(n.ground.enter())
}

// ofNode is a key of what a node keeps.
type ofNode struct {
	node *Node
	key  any
}

// atEnd registers f for the end of a node; of the lab where that is nil.
func (l *Lab) atEnd(node *Node, f func()) {
	if f == nil {
		return
	}
	l.mu.Lock()
	if !l.isDown && (node == nil || !node.isGone) {
		l.endings = append(l.endings, ending{node, f})
		f = func() {}
	}
	l.mu.Unlock()
	f()
}

// goes takes a node from the lab: what was registered for its end has run then, what was
// kept of it is forgotten, and its descriptors are closed.
func (l *Lab) goes(node *Node) {
	l.mu.Lock()
	node.isGone = true
	var last []ending
	l.endings = slices.DeleteFunc(l.endings, func(e ending) bool {
		if e.node == node {
			last = append(last, e)
		}
		return e.node == node
	})
	for key := range l.kept {
		if of, is := key.(ofNode); is && of.node == node {
			delete(l.kept, key)
		}
	}
	l.mu.Unlock()
	defer func() { // also where something that was registered panics
		l.commands.end(node)
		node.close()
	}()
	runAll(last)
}

// runAll runs what was registered, last first. One that panics, or ends its goroutine
// as FailNow does, keeps none of the others from running.
func runAll(registered []ending) {
	if len(registered) == 0 {
		return
	}
	before := registered[:len(registered)-1]
	defer runAll(before)
	registered[len(before)].run()
}
