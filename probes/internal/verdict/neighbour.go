package verdict

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var neighbour = row{
	kind: evidence.Neighbour, verb: "not sent on", policy: never, passes: func(p spot, _ evidence.Cause) bool { return p.isAsking() }, needs: needPackets | needNeighbours | needAddrs | needPlan,
	mend:       "see why nobody answers for it on that link",
	at:         map[stage]func(spot, *evidence.Cause) bool{resolving: nobodyAnswers},
	confirmed:  confirmation{otherwise: "the entry is FAILED, or the node was seen to say so in an ICMP error"},
	unliftable: "a neighbour that does not answer is no policy",
}

func nobodyAnswers(p spot, c *evidence.Cause) bool {
	c.Interface = p.link().Name
	next := p.next()
	owner := p.ownerOf(next)
	late := !p.unresolved()
	if late && (!p.asksFor() || p.state.Legacy || !p.reachedNoHost()) {
		return false
	}
	if d, dropped := p.undiscovered(owner); dropped {
		p.blame(c, d, owner)
		return true
	}
	if late {
		c.Detail = fmt.Sprintf("nobody answered for %s in time", next)
		return true
	}
	switch asks := p.isAsking(); {
	case asks && owner != "":
		c.Detail = fmt.Sprintf("%s has %s, and has not answered for it yet", owner, next)
	case asks:
		c.Detail = fmt.Sprintf("nobody has answered for %s yet", next)
	case owner != "":
		c.Detail = fmt.Sprintf("%s has %s, and does not answer for it", owner, next)
	default:
		c.Detail = fmt.Sprintf("nobody answers for %s", next)
	}
	c.Detail += p.unheard()
	if why := p.deaf(owner); why != "" {
		c.Detail += ": " + why
	}
	if kind := p.link().Kind; slices.Contains(overlays, kind) {
		c.Detail += fmt.Sprintf("; %s is a %s: what carries it may have been lost below", c.Interface, kind)
		peers := p.peers()
		if at := slices.IndexFunc(peers, func(peer peer) bool { return peer.Node == owner }); at >= 0 {
			c.Carrier = p.carrierTo(p.link(), peers[at])
		}
	}
	return true
}

// AnswersARP are the sysctls that say whether an interface answers for an address.
func AnswersARP(name string) []string {
	return []string{"net/ipv4/conf/all/arp_ignore", "net/ipv4/conf/" + name + "/arp_ignore"}
}

// deaf is what keeps the owner of the next one's address from answering for it; "" where
// nothing is known to.
func (p spot) deaf(owner string) string {
	next := p.next()
	for _, peer := range p.peers() {
		if peer.Node != owner {
			continue
		}
		if peer.link.Flags&unix.IFF_NOARP != 0 {
			return fmt.Sprintf("its interface %s asks and answers nobody (NOARP)", peer.link.Name)
		}
		if peer.link.XDP {
			return fmt.Sprintf("an XDP program at its interface %s gets each frame first", peer.link.Name)
		}
		addr, _ := peer.state.Addr(next)
		for _, key := range AnswersARP(peer.link.Name) { // the higher counts (ip-sysctl.rst)
			const nobody = "8"
			value := peer.state.Sysctls[key]
			elsewhere := (value == "1" || value == "2") && addr.Index != peer.link.Index
			if next.Is4() && (value == nobody || elsewhere) {
				return strings.ReplaceAll(key, "/", ".") + "=" + value
			}
		}
	}
	return ""
}

// overlays are the kinds of link whose frames others carry.
var overlays = []string{"vxlan", "geneve", "gretap", "ip6gretap", "vlan"}

// ownerOf is who has an address: on the link, or, as was planned, behind a bridge of
// somebody's; "" where nobody has.
func (p spot) ownerOf(addr netip.Addr) string {
	on := p.peers()
	for _, peer := range on {
		if _, own := peer.state.Addr(addr); own {
			return peer.Node
		}
	}
	bridged := slices.ContainsFunc(on, func(peer peer) bool {
		return peer.link.Master != 0 && peer.state.Link(peer.link.Master).Kind == "bridge"
	})
	for _, node := range slices.Sorted(maps.Keys(p.Ports)) {
		if bridged && slices.ContainsFunc(p.Ports[node], func(port PortState) bool { _, has := port.address(addr); return has }) {
			return node
		}
	}
	return ""
}

// isAsking says whether the node has not given up yet. It may have, and ask again for
// another packet.
func (p spot) isAsking() bool {
	return p.state.Neighbour(p.way.Out, p.next())&unix.NUD_INCOMPLETE != 0 && !p.reachedNoHost()
}

// asksFor says whether the next one's address has to be asked for, whatever came of
// it, and not on a link where nobody is.
func (p spot) asksFor() bool { return p.state.Neighbour(p.way.Out, p.next())&^unix.NUD_NOARP != 0 }

// reachedNoHost says whether the node said so, of the packet that the cause is about:
// it gave up on a neighbour who may have answered since. A rule or route that says
// the same comes before.
func (p spot) reachedNoHost() bool {
	return p.said(func(s evidence.Sighting) bool { return s.NoHost })
}

// said says whether the node said something in an ICMP error, of the packet that the cause
// is about.
func (p spot) said(what func(evidence.Sighting) bool) bool {
	about := map[evidence.Role]evidence.Role{evidence.Request: evidence.Refusal, evidence.Answer: evidence.Undone}[p.leg]
	return slices.ContainsFunc(p.Timeline, func(s evidence.Sighting) bool {
		return what(s) && s.Role == about && s.Node == p.state.Name && s.Direction == evidence.Out
	})
}
