package watch

import (
	"fmt"
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
	flows, err := x.at.Flows()
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
	p := w.pointOf(cause.Node)
	if p == nil || p.node.Attached() {
		return x, false
	}
	ports := portsOf(p.node.Lab(), w.labelsOf(p.node.Lab()))
	if len(ports) == 0 {
		return x, false
	}
	o := w.Observation(t, heard)
	if x.Crossing, is = o.Waiting(cause, func(end verdict.End) bool { _, at := ports[end]; return at }); !is {
		return x, false
	}
	own := ports[x.At]
	for _, end := range x.To {
		if port := ports[end]; port.segment == own.segment {
			x.to = append(x.to, port.outer)
		}
	}
	packet := x.first()
	x.mac = o.States[cause.Node].LinkNamed(x.At.Interface).MAC
	x.at, x.from, x.words = p.node.Lab().OVS(own.segment), own.outer, fieldsOf(own.outer, x.mac, x.MAC, x.Tag, packet)
	return x, len(x.to) > 0 && x.MAC != "" && x.mac != ""
}

// first is the first packet of a probe like the one that waits, from a port that nobody is given.
func (x crossing) first() *wire.Packet {
	const fresh, hops, echo, echo6 = 49152, 64, 8, 128 // RFC 6335; Linux's TTL; RFC 792, RFC 4443
	p := &wire.Packet{Source: x.Seen.Source, Destination: x.Seen.Destination, Protocol: x.Seen.Protocol, TTL: hops, SourcePort: fresh, DestinationPort: x.Seen.DestinationPort}
	switch p.Protocol {
	case unix.IPPROTO_TCP:
		p.Flags = wire.SYN
	case unix.IPPROTO_ICMP:
		p.ICMP, p.Type = true, echo
	case unix.IPPROTO_ICMPV6:
		p.ICMP, p.ICMPv6, p.Type = true, true, echo6
	}
	return p
}

// question is the question for the MAC of whom a request waits for, in the words of ovs-fields(7).
func (x crossing) question() string {
	words := []string{"in_port=" + x.from, "dl_src=" + x.mac}
	if x.Tag != 0 {
		words = append(words, fmt.Sprintf("dl_vlan=%d", x.Tag))
	}
	if x.Next.Is4() {
		return strings.Join(append(words, "dl_dst=ff:ff:ff:ff:ff:ff", "arp,arp_op=1", "arp_spa="+x.Seen.Source.String(), "arp_tpa="+x.Next.String(), "arp_sha="+x.mac), ",")
	}
	b := x.Next.As16()
	group := netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]}) // RFC 4291, 2.7.1
	return strings.Join(append(words, fmt.Sprintf("dl_dst=33:33:ff:%02x:%02x:%02x", b[13], b[14], b[15]), "icmp6,icmpv6_type=135,icmpv6_code=0,nw_ttl=255",
		"ipv6_src="+x.Seen.Source.String(), "ipv6_dst="+group.String(), "nd_target="+x.Next.String(), "nd_sll="+x.mac), ",")
}
