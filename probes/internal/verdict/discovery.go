package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

// Discovered is a packet of neighbour discovery (ARP, ND), seen at a node or dropped there.
type Discovered struct {
	At   time.Time
	Node string
	// Direction is where it was seen to go; Rule is what dropped it, else nil.
	Direction evidence.Direction
	Rule      *evidence.Rule
	// Advertises is true of an answer.
	Advertises bool
	// Target is the address that is asked for. Of one that is Cut the byte behind the
	// twelfth is not known: a trace has no more of it.
	Target netip.Addr
	Cut    bool
	// Asker is who asks, or is answered.
	Asker netip.Addr
	// MAC is the one that an answer tells; zero of a question, and where a trace has cut it off.
	MAC wire.MAC
}

// About says whether it is about an address.
func (d Discovered) About(addr netip.Addr) bool {
	const unknown = 12
	if !d.Cut || !addr.Is6() || !d.Target.Is6() {
		return d.Target == addr
	}
	a, b := d.Target.As16(), addr.As16()
	a[unknown], b[unknown] = 0, 0
	return a == b
}

// Name is what it is called: "ARP request", "neighbour advertisement".
func (d Discovered) Name() string {
	switch {
	case d.Target.Is4() && d.Advertises:
		return "ARP reply"
	case d.Target.Is4():
		return "ARP request"
	case d.Advertises:
		return "neighbour advertisement"
	}
	return "neighbour solicitation"
}

// undiscovered says whether a rule dropped the last question for the next one's MAC, or
// the answer: at the node that asks, at the one that has the address, or at one that
// bridges them. What a rule drops of a question to all elsewhere stops nobody.
func (p spot) undiscovered(owner string) (Discovered, bool) {
	if owner == "" {
		return Discovered{}, false
	}
	var ours []Discovered
	var asked time.Time
	for _, d := range p.Discoveries {
		if !d.About(p.next()) || !p.state.Owns(d.Asker) {
			continue
		}
		ours = append(ours, d)
		if !d.Advertises && d.Rule == nil && d.Node == p.state.Name && d.Direction == evidence.Out && d.At.After(asked) {
			asked = d.At
		}
	}
	ours = slices.DeleteFunc(ours, func(d Discovered) bool { return d.At.Before(asked) })
	came := func(node string, advertises bool) bool {
		return slices.ContainsFunc(ours, func(d Discovered) bool {
			return d.Rule == nil && d.Direction == evidence.In && d.Node == node && d.Advertises == advertises
		})
	}
	onLink := slices.ContainsFunc(p.peers(), func(peer peer) bool { return peer.Node == owner })
	for _, d := range slices.Backward(ours) {
		to := owner
		if d.Advertises {
			to = p.state.Name
		}
		atEnd := d.Node == owner || d.Node == p.state.Name
		if d.Rule != nil && (atEnd || !onLink && !came(to, d.Advertises)) {
			return d, true
		}
	}
	return Discovered{}, false
}

// blame gives a cause that is about a neighbour the rule which dropped its discovery.
func (p spot) blame(c *evidence.Cause, d Discovered, owner string) {
	c.Discovery = &evidence.Discovery{Packet: d.Name(), For: p.next(), Node: p.state.Name, Interface: c.Interface}
	c.Kind, c.Node, c.Interface, c.Rule = evidence.Drop, d.Node, "", d.Rule
	c.Detail = fmt.Sprintf("%s has %s, and the %s for it was dropped", owner, p.next(), d.Name())
	if d.Advertises {
		c.Detail = fmt.Sprintf("%s has %s, and its %s was dropped", owner, p.next(), d.Name())
	}
}
