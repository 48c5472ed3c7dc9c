package verdict

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

var noListener = row{
	kind: evidence.NoListener, verb: "refused", policy: never, needs: needPackets | needSockets,
	mend: "have somebody listen (probes.Serve)",
	at:   map[stage]func(spot, *evidence.Cause) bool{accepted: nobodyListens, refused: nobodyListens},
	confirmed: confirmation{
		counters: []string{"Udp.NoPorts", "Udp6.NoPorts", "UdpLite.NoPorts", "UdpLite6.NoPorts", "Tcp.OutRsts"},
		ends:     []string{"Udp.NoPorts", "Udp6.NoPorts", "UdpLite.NoPorts", "UdpLite6.NoPorts"},
	},
	unliftable: "that nobody listens is no policy",
}

// nobodyListens says whether no socket at the port takes the packet: nobody has one,
// or all of them listen elsewhere.
func nobodyListens(p spot, c *evidence.Cause) bool {
	if p.Flow.Protocol == wire.ICMP {
		return false
	}
	if p.Flow.Protocol == wire.Other || p.Flow.Protocol == wire.SCTP {
		return p.unspoken(c)
	}
	at, elsewhere := p.listeners()
	port := p.port()
	c.Detail = fmt.Sprintf("nobody has port %d", port)
	if only := p.state.Only(elsewhere...); only != "" {
		c.Detail = fmt.Sprintf("port %d %s", port, only)
	}
	if p.leg == evidence.Request && port != p.Flow.Port {
		c.Detail += fmt.Sprintf(", to which port %d was translated", p.Flow.Port)
	}
	return len(at) == 0
}

// unspoken says what became of another protocol's packet, which its kernel alone can tell: a raw
// socket takes it and says nothing, or the kernel itself (IGMP, a tunnel), and of refusals it
// sends a few.
func (p spot) unspoken(c *evidence.Cause) bool {
	at := slices.IndexFunc(p.Timeline, func(s evidence.Sighting) bool {
		return s.Role == evidence.Refusal && s.Node == p.state.Name
	})
	switch c.Detail = "nobody there speaks the protocol"; {
	case at < 0 && p.Heard.Refuser != p.state.Name:
		c.Kind = evidence.Unknown
		c.Detail = "it came in, and was not refused there: a raw socket may have read it, or its kernel speaks the protocol"
	case p.Flow.Protocol == wire.SCTP && !p.Heard.ICMP && (at < 0 || p.Timeline[at].Protocol == unix.IPPROTO_SCTP):
		c.Detail = fmt.Sprintf("nobody has port %d", p.port()) // SCTP itself says so, by ABORT
	}
	return true
}

// listeners are the sockets at the packet's port: those that take it, and others.
func (p spot) listeners() (at, elsewhere []inspect.Listener) {
	all := p.state.UDP
	switch p.Flow.Protocol {
	case wire.TCP:
		all = p.state.Listeners
	case wire.UDPLite:
		all = p.state.UDPLite
	}
	for _, l := range all {
		switch {
		case l.Port != p.port():
		case p.state.Takes(l, p.to, p.seen.Index):
			at = append(at, l)
		default:
			elsewhere = append(elsewhere, l)
		}
	}
	return at, elsewhere
}

// port is the one that the packet was for where it was last seen: translation may have
// changed it.
func (p spot) port() uint16 {
	if p.seen.DestinationPort != 0 {
		return p.seen.DestinationPort
	}
	return p.Flow.Port
}
