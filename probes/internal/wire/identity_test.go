package wire

import "testing"

// Over IPv6 nothing but the timestamp tells a connection's packets apart, and that changes once
// a millisecond.
func TestPacketsOfOneMillisecondAreNotOne(t *testing.T) {
	t.Parallel()
	of := func(stamp uint32, flags byte) uint64 {
		p := Packet{Source: client6, Destination: server6, Protocol: 6, Stamp: stamp, Flags: flags}
		return p.Identity()
	}
	const ece = 1 << 6 // which a router may set
	seen := map[uint64]string{of(0, SYN): "unknown"}
	if seen[0] == "" {
		t.Error("a packet without a timestamp has no identity")
	}
	for what, identity := range map[string]uint64{
		"SYN": of(7, SYN), "the ACK of the same millisecond": of(7, ACK), "data": of(7, ACK|PSH), "a reset": of(7, RST|ACK), "SYN once more": of(1007, SYN),
	} {
		if other, twice := seen[identity]; twice {
			t.Errorf("%s is %s", what, other)
		}
		seen[identity] = what
	}
	if of(7, SYN) != of(7, SYN|ece) {
		t.Error("a packet that the network marks is the same still")
	}
	if p := (Packet{ID: 9, Stamp: 7, Flags: SYN}); p.Identity() != 9 {
		t.Errorf("IPv4's identification is the packet's: %d", p.Identity())
	}
}
