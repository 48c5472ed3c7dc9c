package harness

import (
	"errors"

	"github.com/nstest/nstest/topo"
)

// errAbsent is what anything says that is asked of a nil or zero Lab, Node, Port or OpenVSwitch:
// of one that a BeforeEach which failed has never set.
var errAbsent = errors.New("it is nil, or none of a lab: take a lab from Up, a node from Lab.Node, a port from Node.Port, an Open vSwitch from Lab.OVS")

// absentName is what they are called.
const absentName = "(none)"

// absentNode is what a nil or zero Node stands for, and absentLab a Lab: one that is down, and has
// nothing. What would be done there has its error from exists.
var absentLab, absentNode = makeAbsent()

func makeAbsent() (*Lab, *Node) {
	lab := newLab(&layout{plan: &topo.Plan{Name: absentName}, byName: map[string]*Node{}})
	lab.isEnding, lab.isDown, lab.commands.closed = true, true, true
	node := newNode(lab, &topo.NodePlan{Name: absentName}, &ground{&namespace{fd: -1}, &rtnl{fd: -1}})
	node.own.close()
	return lab, node
}

// here is the lab; absentLab in the place of none.
func (l *Lab) here() *Lab {
	if l == nil || l.layout.Load() == nil {
		return absentLab
	}
	return l
}

// here is the node; absentNode in the place of none.
func (n *Node) here() *Node {
	if n == nil || n.lab == nil {
		return absentNode
	}
	return n
}

// here is the port; one of absentNode in the place of none.
func (p *Port) here() *Port {
	if p == nil || p.node == nil {
		return &Port{node: absentNode, plan: topo.PortPlan{Name: absentName}}
	}
	return p
}

// here is the switch; one of absentLab in the place of none.
func (o *OpenVSwitch) here() *OpenVSwitch {
	if o == nil || o.lab == nil {
		return &OpenVSwitch{lab: absentLab, name: absentName}
	}
	return o
}

// here is the command; one of no node in the place of none.
func (c *Cmd) here() *Cmd {
	if c == nil {
		return &Cmd{Path: absentName}
	}
	return c
}

// exists is an error where there is no lab.
func (l *Lab) exists() error {
	if l == absentLab {
		return errAbsent
	}
	return nil
}

// ours is an error where the harness does not configure the lab's namespaces.
func (l *Lab) ours() error {
	if l.attached {
		return errNotOurs
	}
	return l.exists()
}
