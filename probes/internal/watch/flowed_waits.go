package watch

import (
	"net/netip"
	"strings"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// Waits is what an Open vSwitch does with the trail's request that waits for a neighbour, by the
// cause which says so: it was seen to ask for that. It is the zero Flowed unless ofproto/trace
// has both the question and the request handed on as a switch does, and not to who they are for.
func (w *Watch) Waits(t *Trail, heard Heard, cause evidence.Cause) (found verdict.Flowed) {
	x, waits := w.pends(t, heard, cause)
	if !waits {
		return found
	}
	flows, err := x.flows()
	if err != nil {
		return found
	}
	for _, words := range []string{x.question(), x.words} {
		trace, err := x.at.Trace(words)
		if err != nil || x.arrives(trace) || trace.Unfollowed != "" || !strings.Contains(trace.Last().Actions, "NORMAL") {
			return found
		}
		if words == x.words && x.otherwise(trace, flows) != "" {
			return found
		}
	}
	return verdict.Flowed{At: x.At, Leg: evidence.Request, Switch: x.at.Name(), Normal: true}
}

// pends is the trail's request that waits to leave for an Open vSwitch.
func (w *Watch) pends(t *Trail, heard Heard, cause evidence.Cause) (x crossing, is bool) {
	lab, ports := w.switchedAt(cause.Node)
	if len(ports) == 0 {
		return x, false
	}
	o := w.Observation(t, heard)
	if x.Crossing, is = o.Waiting(cause, func(end verdict.End) bool { _, at := ports[end]; return at }); !is {
		return x, false
	}
	x.enter(lab, ports)
	x.mac = o.States[cause.Node].LinkNamed(x.At.Interface).MAC
	x.words = x.fields(x.first())
	return x, len(x.to) > 0 && x.MAC != "" && x.mac != ""
}

// first is the first packet of a probe like the one that waits, from a port that nobody is given.
func (x crossing) first() *wire.Packet {
	const fresh, hops = 49152, 64 // RFC 6335; Linux's TTL
	p := &wire.Packet{Source: x.Seen.Source, Destination: x.Seen.Destination, Protocol: x.Seen.Protocol, TTL: hops, SourcePort: fresh, DestinationPort: x.Seen.DestinationPort}
	switch p.Protocol {
	case unix.IPPROTO_TCP:
		p.Flags = wire.SYN
	case unix.IPPROTO_ICMP:
		p.ICMP, p.Type = true, icmpEcho
	case unix.IPPROTO_ICMPV6:
		p.ICMP, p.ICMPv6, p.Type = true, true, icmp6Echo
	}
	return p
}

// question is the question for the MAC of whom a request waits for, in the words of ovs-fields(7).
func (x crossing) question() string {
	_, to, packet := wire.Question{Target: x.Next}.Build()
	words := x.frame(to.String())
	if x.Next.Is4() {
		return strings.Join(append(words, "arp,arp_op=1", "arp_spa="+x.Seen.Source.String(), "arp_tpa="+x.Next.String(), "arp_sha="+x.mac), ",")
	}
	group := netip.AddrFrom16([addrSize6]byte(packet[24:])) // RFC 8200, 3
	return strings.Join(append(words, "icmp6,icmpv6_type=135,icmpv6_code=0,nw_ttl=255",
		"ipv6_src="+x.Seen.Source.String(), "ipv6_dst="+group.String(), "nd_target="+x.Next.String(), "nd_sll="+x.mac), ",")
}
