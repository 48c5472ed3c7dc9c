package topo

var bridgeKind = &deviceKind{name: "bridge", takes: true, joins: true, mac: true}

// Bridge declares a bridge of the node's ports. It joins their segments: a prefix that
// one declares is for those on the others too, and addresses are counted together. What
// addresses the node's ports have is the bridge's; where each port has NoAddress it has
// none, as a transparent firewall.
//
//	inside, outside := office.Wire("inside", "10.0.1.0/24"), office.Wire("outside")
//	fw := office.Host("fw", inside.NoAddress(), outside.NoAddress())
//	fw.Bridge("br0", inside, outside)
func (n *Node) Bridge(name string, ports ...Interface) *Device {
	return n.device(bridgeKind, name, ports)
}
