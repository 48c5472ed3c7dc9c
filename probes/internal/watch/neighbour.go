package watch

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// hearNeighbour notes a frame of neighbour discovery.
func (w *Watch) hearNeighbour(p *point, f *frame) {
	d, ok := discovery(f.protocol, f.data)
	if !ok {
		return
	}
	d.At, d.Node, d.Direction = f.at, p.label, evidence.In
	if f.out() {
		d.Direction = evidence.Out
	}
	w.nearby.add(d)
}

// hearNeighbourEvent notes what a packet of neighbour discovery is that rules have, so
// that it is known if they drop it.
func (w *Watch) hearNeighbourEvent(p *point, e *traceEvent) {
	if len(e.network) == 0 {
		return
	}
	protocol, data := uint16(unix.ETH_P_IPV6), join2(e.network, e.transport)
	if e.network[0]>>4 != 6 {
		protocol = unix.ETH_P_ARP
	}
	d, ok := discovery(protocol, data)
	id := tracedID{p, e.id}
	if !ok {
		w.nearby.take(id)
		return
	}
	d.Node = p.label
	w.nearby.has(id, d)
}

// dropNeighbour notes that a rule dropped one.
func (w *Watch) dropNeighbour(p *point, e *traceEvent) {
	if d, ok := w.nearby.take(tracedID{p, e.id}); ok {
		d.At, d.Rule = time.Now(), p.rule(e)
		w.nearby.add(d)
	}
}

const (
	arpLength              = 28 // of IPv4 over Ethernet (RFC 826)
	arpRequest, arpReply   = 1, 2
	arpSenderMAC           = 8
	arpSender, arpTarget   = 14, 24
	discoveryTarget        = ipv6Header + 8 // RFC 4861, 4.3 and 4.4
	addrSize6              = 16
	solicitedNodeAddresses = "ff02::1:ff00:0/104" // RFC 4291, 2.7.1
)

var solicited = netip.MustParsePrefix(solicitedNodeAddresses)

// discovery reads a question or an answer about a neighbour, from the network header
// on. A trace cuts the address off that it is about: its end is then known from where
// it goes to, or comes from.
func discovery(protocol uint16, data []byte) (d verdict.Discovered, ok bool) {
	if protocol == unix.ETH_P_ARP {
		if len(data) < arpLength {
			return d, false
		}
		sender, target := netip.AddrFrom4([4]byte(data[arpSender:])), netip.AddrFrom4([4]byte(data[arpTarget:]))
		switch binary.BigEndian.Uint16(data[6:]) {
		case arpRequest:
			return verdict.Discovered{Target: target, Asker: sender}, true
		case arpReply:
			return verdict.Discovered{Target: sender, Asker: target, Advertises: true, MAC: wire.MAC(data[arpSenderMAC:])}, true
		}
		return d, false
	}
	if len(data) < discoveryTarget || data[0]>>4 != 6 || data[6] != unix.IPPROTO_ICMPV6 {
		return d, false
	}
	kind := data[ipv6Header]
	if kind != icmp6Solicit && kind != icmp6Advertise {
		return d, false
	}
	from, to := netip.AddrFrom16([addrSize6]byte(data[8:])), netip.AddrFrom16([addrSize6]byte(data[24:]))
	d = verdict.Discovered{Asker: from}
	if d.Advertises = kind == icmp6Advertise; d.Advertises {
		d.Asker, d.MAC = to, toldMAC(data)
	}
	switch {
	case len(data) >= discoveryTarget+addrSize6:
		d.Target = netip.AddrFrom16([addrSize6]byte(data[discoveryTarget:]))
	case d.Advertises:
		d.Target = from
	case !solicited.Contains(to):
		d.Target = to
	default:
		var whole [addrSize6]byte
		copy(whole[:], data[discoveryTarget:])
		end := to.As16()
		copy(whole[13:], end[13:])
		d.Target, d.Cut = netip.AddrFrom16(whole), true
	}
	return d, true
}

// toldMAC is the MAC that an advertisement tells (RFC 4861, 4.6.1); zero where it tells none.
func toldMAC(advertisement []byte) (mac wire.MAC) {
	const unit, target = 8, 2 // an option's length is in units of eight bytes
	options := advertisement[min(discoveryTarget+addrSize6, len(advertisement)):]
	for len(options) >= unit {
		length := int(options[1]) * unit
		if length == 0 || length > len(options) {
			break
		}
		if options[0] == target {
			copy(mac[:], options[2:])
			break
		}
		options = options[length:]
	}
	return mac
}

// Discoveries are the packets of neighbour discovery since a time that were read (Drain), in that
// order: those of one node are in their own.
func (w *Watch) Discoveries(since time.Time) (found []verdict.Discovered) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.nearby.last {
		if !d.At.Before(since) {
			found = append(found, d)
		}
	}
	return found
}

// readAnswering reads what says whether the other ends of a link answer for their addresses.
func (w *Watch) readAnswering(o *verdict.Observation, at verdict.End) {
	for _, peer := range o.Peers[at] {
		p, state := w.pointOf(peer.Node), o.States[peer.Node]
		if p == nil || state == nil {
			continue
		}
		read := inspect.State{Sysctls: map[string]string{}}
		ns, err := NamespaceOf(p.node)
		if err != nil || ns.Fill(&read, inspect.Want{Sysctls: verdict.AnswersARP(peer.Interface)}) != nil {
			continue // what is there to be told of it stays untold
		}
		more := *state // others have that one as well
		maps.Copy(read.Sysctls, state.Sysctls)
		more.Sysctls = read.Sysctls
		o.States[peer.Node] = &more
	}
}
