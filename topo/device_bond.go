package topo

import "strings"

// BondMode is how a bond uses its ports (Documentation/networking/bonding.rst).
type BondMode int

// The modes of a bond.
const (
	BalanceRR    BondMode = iota // one packet at each port, in turn
	ActiveBackup                 // one port, and another when that is down
	BalanceXOR                   // a port by the frame's addresses
	Broadcast                    // each packet at every port
	LACP                         // 802.3ad: as the other end agrees to
	BalanceTLB                   // as each port has to do, one of them receives
	BalanceALB                   // as each port has to do, both ways
)

var bondModes = []string{"balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"}

// String is the mode's name in ip-link(8).
func (m BondMode) String() string {
	if m < 0 || int(m) >= len(bondModes) {
		return "none"
	}
	return bondModes[m]
}

var bondKind = &deviceKind{name: "bond", takes: true, least: 1, joins: true, mac: true, check: func(p *planner, where string, at end, d *Device) {
	if d.mode.String() == "none" {
		p.wrong("%s: mode %d: it is one of %s", where, d.mode, strings.Join(bondModes, ", "))
	}
	p.plan.Nodes[at.node].Devices[at.port].Mode = d.mode.String()
}}

// Bond declares a link that is made of several of the node's ports. What addresses these
// have are the bond's. A second port on a segment has a name of its own:
//
//	r := office.Router("r", lan.As("eth0"), lan.As("eth1"))
//	r.Bond("bond0", topo.ActiveBackup, lan.As("eth0"), lan.As("eth1"))
func (n *Node) Bond(name string, mode BondMode, ports ...Interface) *Device {
	d := n.device(bondKind, name, ports)
	d.mode = mode
	return d
}
