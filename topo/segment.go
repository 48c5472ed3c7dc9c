package topo

// Kind is what a segment is made of.
type Kind int

// The kinds of segment.
const (
	KindWire   Kind = iota // two ports, one veth pair
	KindSwitch             // a bridge
)

// String is "wire" or "switch".
func (k Kind) String() string {
	if k == KindSwitch {
		return "switch"
	}
	return "wire"
}

// Segment is a broadcast domain: what one port sends to all, every other hears.
// Prefixes of different segments may overlap, and be the same.
type Segment struct {
	network *Network
	name    string
	kind    Kind
	texts   []string
	mtu     int
}

// Name is the segment's name.
func (s *Segment) Name() string {
	if s == nil {
		return ""
	}
	return s.name
}

// MTU sets the greatest packet of every port, in bytes: 68 (RFC 791) to 65,535,
// at least 1,280 with IPv6 (RFC 8200). Without it, 1,500.
func (s *Segment) MTU(bytes int) *Segment {
	if s != nil {
		s.mtu = bytes
	}
	return s
}
