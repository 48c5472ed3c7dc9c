package topo

// Kind is what a segment is made of. Those over another segment, on which its nodes have a
// port as well, have a file each.
type Kind string

// The kinds of segment that are over no other.
const (
	KindWire   Kind = ""            // two ports, one veth pair
	KindSwitch Kind = "switch"      // a bridge
	KindOVS    Kind = "openvswitch" // an Open vSwitch
)

// String is the kind's name: "wire", "switch", "vlan".
func (k Kind) String() string {
	if k == KindWire {
		return "wire"
	}
	return string(k)
}

// IsSwitch says whether it has any number of ports, each with an end at a switch.
func (k Kind) IsSwitch() bool { return k == KindSwitch || k == KindOVS }

// Segment is a broadcast domain: what one port sends to all, every other hears.
// Prefixes of different segments may overlap, and be the same.
type Segment struct {
	network *Network
	name    string
	kind    Kind
	texts   []string
	mtu     int
	overlay *overlayKind // nil for one that is over no other
	over    *Segment
	id      int
	held    *held    // of a copy
	flows   []string // of an Open vSwitch
	patches []*Segment
	// impaired is what happens to what each of its nodes sends.
	impaired Impairment
	between  []impairedPair // instead, between two of them
	whole    bool           // see NoOffload
}

// Name is the segment's name.
func (s *Segment) Name() string {
	if s == nil {
		return ""
	}
	return s.name
}

// NoOffload has every node put whole checksums into what it sends on the segment (ethtool -K PORT tx off).
// Else a kernel leaves that to the hardware, of which a segment has none, and a program that
// reads frames as they are (a DHCP client, a switch in user space) takes them for broken. The
// ends of an Open vSwitch that is in user space have it anyhow.
func (s *Segment) NoOffload() *Segment {
	if s != nil {
		s.whole = true
	}
	return s
}

// MTU sets the greatest packet of every port, in bytes: 68 (RFC 791) to 65,535,
// at least 1,280 with IPv6 (RFC 8200). Without it, 1,500.
func (s *Segment) MTU(bytes int) *Segment {
	if s != nil {
		s.mtu = bytes
	}
	return s
}
