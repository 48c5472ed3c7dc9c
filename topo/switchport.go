package topo

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// SwitchPort is what was chosen of a switch's end of a port, in the words of bridge(8):
// the zero SwitchPort is a port as any other.
type SwitchPort struct {
	// Isolated ports talk to no other isolated port (isolated on).
	Isolated bool
	// Locked ports take frames from those alone whose MAC has an entry there (locked on);
	// since Linux 5.18. The kernel learns none there by itself.
	Locked bool
	// NoLearning says that the switch makes no entries of what it hears there (learning off).
	NoLearning bool
	// NoFlood says that frames to a MAC that has no entry are not sent there (flood off).
	// Broadcasts and groups are.
	NoFlood bool
	// Static are the MACs that have an entry there which stays, whatever the switch hears
	// elsewhere (bridge fdb add ... static sticky).
	Static [][6]byte
	// Access is the VLAN of frames without a tag, and Trunk are those of frames with one;
	// 0 and none where nothing was chosen.
	Access int
	Trunk  []int
}

// IsPlain says whether nothing was chosen.
func (s SwitchPort) IsPlain() bool { return !s.IsBridgeOnly() && !s.HasVLANs() }

// IsBridgeOnly says whether something was chosen that a bridge's ports have, and those of an
// Open vSwitch have not.
func (s SwitchPort) IsBridgeOnly() bool {
	return s.Isolated || s.Locked || s.NoLearning || s.NoFlood || len(s.Static) > 0
}

// String is what was chosen, in the words of bridge(8): "isolated, locked, static
// 02:00:00:00:00:01", and of switches: "access 100, trunk 200 300"; "" of a plain port.
func (s SwitchPort) String() string {
	var words []string
	for _, w := range []struct {
		is   bool
		word string
	}{{s.Isolated, "isolated"}, {s.Locked, "locked"}, {s.NoLearning, "learning off"}, {s.NoFlood, "flood off"}} {
		if w.is {
			words = append(words, w.word)
		}
	}
	for _, mac := range s.Static {
		words = append(words, "static "+net.HardwareAddr(mac[:]).String())
	}
	if s.Access != 0 {
		words = append(words, fmt.Sprintf("access %d", s.Access))
	}
	if len(s.Trunk) > 0 {
		words = append(words, "trunk "+strings.Trim(fmt.Sprint(s.Trunk), "[]"))
	}
	return strings.Join(words, ", ")
}

// Isolated is a port as in Port.Isolated.
func (s *Segment) Isolated() Port { return s.port().Isolated() }

// Locked is a port as in Port.Locked.
func (s *Segment) Locked() Port { return s.port().Locked() }

// NoLearning is a port as in Port.NoLearning.
func (s *Segment) NoLearning() Port { return s.port().NoLearning() }

// NoFlood is a port as in Port.NoFlood.
func (s *Segment) NoFlood() Port { return s.port().NoFlood() }

// Static is a port as in Port.Static.
func (s *Segment) Static(macs ...string) Port { return s.port().Static(macs...) }

// Isolated has the switch hand nothing on from this port to other isolated ones.
func (p Port) Isolated() Port {
	p.choice.Isolated = true
	return p
}

// Locked has the switch take frames at this port from those MACs alone that have an entry
// there: see Static. It needs Linux 5.18.
func (p Port) Locked() Port {
	p.choice.Locked = true
	return p
}

// NoLearning has the switch learn no MACs at this port.
func (p Port) NoLearning() Port {
	p.choice.NoLearning = true
	return p
}

// NoFlood has the switch send nothing to this port that is for a MAC which has no entry.
func (p Port) NoFlood() Port {
	p.choice.NoFlood = true
	return p
}

// Static gives the switch entries that stay: these MACs are behind this port. Without any
// it is the port's own.
func (p Port) Static(macs ...string) Port {
	p.static = append(append([]string(nil), p.static...), macs...)
	p.choice.Static = append([][6]byte(nil), p.choice.Static...)
	if len(macs) == 0 {
		p.choice.Static = append(p.choice.Static, [6]byte{}) // when it is known
	}
	return p
}

// staticAt is the node at whose port a segment's switch has an entry for a MAC that stays,
// of those planned so far; "" for none.
func (p *planner) staticAt(segment string, mac [6]byte) string {
	for i := range p.plan.Nodes {
		for _, port := range p.plan.Nodes[i].Ports {
			if port.Wired() == segment && slices.Contains(port.Switch.Static, mac) {
				return p.nodeName(i)
			}
		}
	}
	return ""
}

// planSwitchPort is what was chosen of a switch's end of a port.
func (p *planner) planSwitchPort(at end, segment string, kind Kind, own [6]byte) SwitchPort {
	port := &p.network.nodes[at.node].ports[at.port]
	choice := port.choice
	if kind == KindOVS && (choice.IsBridgeOnly() || len(port.static) > 0) {
		p.wrong("%s: it is an Open vSwitch, of whose ports VLANs are chosen (Access, Trunk): say the rest by its flows (Flow)", p.place(at))
		return SwitchPort{}
	}
	if (!choice.IsPlain() || len(port.static) > 0 || port.access || port.trunk) && !kind.IsSwitch() {
		p.wrong("%s: it is a %s, and something of a switch's port was chosen: make it a switch, or leave that out", p.place(at), kind)
		return SwitchPort{}
	}
	var static [][6]byte
	if len(choice.Static) > 0 {
		static = append(static, own)
	}
	for _, text := range port.static {
		mac, err := parseMAC(text)
		if err != nil {
			p.wrong("%s: static entry: %v", p.place(at), err)
			continue
		}
		static = append(static, mac)
	}
	for i, mac := range static {
		if slices.Contains(static[:i], mac) {
			p.wrong("%s: static entry: MAC %s is there twice: leave one out", p.place(at), net.HardwareAddr(mac[:]))
		}
		if other := p.staticAt(segment, mac); other != "" {
			p.wrong("%s: static entry: MAC %s has one at node %s's port: a switch has one of each: leave one out", p.place(at), net.HardwareAddr(mac[:]), other)
		}
	}
	choice.Static, choice.Trunk = static, slices.Clone(choice.Trunk)
	p.checkVLANs(at)
	return choice
}
