package topo

var dummyKind = &deviceKind{name: "dummy", mac: true}

// Dummy declares an interface that takes all that is sent to it and is always up: for
// addresses that are on no link, as on a loopback.
func (n *Node) Dummy(name string) *Device { return n.device(dummyKind, name, nil) }
