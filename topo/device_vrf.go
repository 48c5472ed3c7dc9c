package topo

var vrfKind = &deviceKind{name: "vrf", takes: true, mac: true, check: func(p *planner, where string, at end, d *Device) {
	node := &p.plan.Nodes[at.node]
	switch {
	case !isUint32(d.table) || d.table == 0 || d.table >= defaultTable && d.table <= localTable:
		p.wrong("%s: table %d: it is between 1 and 4294967295, and none of 253, 254 and 255, which are everybody's", where, d.table)
	default:
		for _, other := range node.Devices[:at.port] {
			if other.Table == d.table {
				p.wrong("%s: table %d is that of %s: choose another", where, d.table, other.Name)
			}
		}
	}
	node.Devices[at.port].Table = d.table
}}

// VRF declares a routing domain of the node: what comes in at its ports is routed by its
// table alone, and ports keep their addresses. The plan finds routes for it as for a node
// by itself, and none from one VRF to another or to the rest of the node: a route of the
// declaration, with Table and Dev, is a leak on purpose.
//
//	red := r.VRF("red", 10, lan, wan)
func (n *Node) VRF(name string, table int, ports ...Interface) *Device {
	d := n.device(vrfKind, name, ports)
	d.table = table
	return d
}
