package topo

// Attachment is where a node is put: a *Segment, or a Port when something about
// it is chosen.
type Attachment interface{ port() Port }

// Port is a node's end on a segment, with what was chosen about it. It is a
// value: each method returns a changed copy.
type Port struct {
	segment   *Segment
	as        string
	addrs     []string
	also      []string
	mac       string
	chosenMAC bool
	mtu       int
	duplicate bool
	bare      bool
	named     bool
	access    bool       // Access was said
	trunk     bool       // Trunk was
	choice    SwitchPort // of the switch's end; of its static entries only that of the port's own MAC, not known yet
	static    []string   // the others
	held      *held      // of a copy
	under     *Segment   // what was said with Over
	elsewhere bool       // Over was said
	// what happens to what is sent and received there, where that was chosen
	sends, receives             Impairment
	chosenSends, chosenReceives bool
	receivesFrom                []impairedPair
}

func (s *Segment) port() Port { return Port{segment: s} }
func (p Port) port() Port     { return p }

// portOf is the port that an attachment stands for; of none, and of a nil
// *Port, the port on no segment, which the plan reports.
func portOf(a Attachment) Port {
	if p, ok := a.(*Port); a == nil || ok && p == nil {
		return Port{}
	}
	return a.port()
}

// At is a port with chosen addresses, without a prefix length: "10.0.1.9". They
// lie in the segment's prefixes; a prefix for which none is chosen gives one itself.
func (s *Segment) At(addrs ...string) Port { return s.port().At(addrs...) }

// MAC is a port with a chosen MAC, "02:00:00:00:00:01". Without it the plan
// makes one up from the names.
func (s *Segment) MAC(mac string) Port { return s.port().MAC(mac) }

// As is a port whose interface has a chosen name, as in Port.As.
func (s *Segment) As(name string) Port { return s.port().As(name) }

// Also is a port with further addresses, as in Port.Also.
func (s *Segment) Also(prefixes ...string) Port { return s.port().Also(prefixes...) }

// NoAddress is a port that gets no address by itself.
func (s *Segment) NoAddress() Port { return s.port().NoAddress() }

// At chooses addresses, as in Segment.At.
func (p Port) At(addrs ...string) Port {
	p.addrs = append(append([]string(nil), p.addrs...), addrs...)
	return p
}

// MAC chooses the MAC. The same may be chosen on another segment; on the same
// one it would break forwarding without a word, so there it takes Duplicate.
func (p Port) MAC(mac string) Port {
	p.mac, p.chosenMAC = mac, true
	return p
}

// As chooses the interface's name: "eth0", "eth0.100". What the kernel takes for one
// may be chosen. Without it the interface is named after the segment.
func (p Port) As(name string) Port {
	p.as, p.named = name, true
	return p
}

// MTU sets the MTU of this port alone, in bytes; ends that differ lose packets
// without a word.
func (p Port) MTU(bytes int) Port {
	p.mtu = bytes
	return p
}

// Also adds addresses with prefix lengths of their own, in or outside the
// segment's prefixes: "192.0.2.5/32". Others get no routes to them.
func (p Port) Also(prefixes ...string) Port {
	p.also = append(append([]string(nil), p.also...), prefixes...)
	return p
}

// Duplicate says that the port's addresses and its MAC may be on the segment
// twice: the conflict is meant. One of the two ports says so.
func (p Port) Duplicate() Port {
	p.duplicate = true
	return p
}

// NoAddress keeps the plan from giving the port an address; At and Also still do.
func (p Port) NoAddress() Port {
	p.bare = true
	return p
}
