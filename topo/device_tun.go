package topo

var (
	tunKind = &deviceKind{name: "tun", bare: true}
	tapKind = &deviceKind{name: "tap", mac: true}
)

// Tun declares an interface whose packets a program gets and gives: a function of the test
// (Node.ServeTun of package harness), or a program that opens it by its name (/dev/net/tun).
// While nobody has it open it has no carrier.
//
//	r := office.Router("r", lan)
//	r.Route(topo.Route{To: "10.9.0.0/16", Dev: r.Tun("tun0").Address("10.9.0.1/32")})
func (n *Node) Tun(name string) *Device { return n.device(tunKind, name, nil) }

// Tap declares one whose frames a program gets and gives: it may be a port of a bridge, or of
// a bond.
func (n *Node) Tap(name string) *Device { return n.device(tapKind, name, nil) }
