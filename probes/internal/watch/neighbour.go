package watch

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

// Discovery is a packet of neighbour discovery (ARP, ND), seen at a node.
type Discovery struct {
	At        time.Time
	Node      string
	Interface string // "" for what a rule did
	Direction evidence.Direction
	// Advertises is true of an answer.
	Advertises bool
	// Target is the address that is asked for.
	Target netip.Addr
	// Rule is what dropped it; nil otherwise.
	Rule *evidence.Rule
}

// sightedNeighbours are the last discoveries.
type sightedNeighbours struct {
	last   []Discovery
	traced map[tracedID]Discovery
}

type tracedID struct {
	point *point
	id    uint32
}

// mostNearby bounds how many are kept.
const mostNearby = 4096

func (s *sightedNeighbours) add(d Discovery) {
	if len(s.last) >= mostNearby {
		s.last = slices.Delete(s.last, 0, mostNearby/2)
	}
	s.last = append(s.last, d)
}

// hearNeighbour notes a frame of neighbour discovery.
func (w *Watch) hearNeighbour(p *point, f *frame) {
	target, advertises, ok := discovery(f.protocol, f.data)
	if !ok {
		return
	}
	direction := evidence.In
	if f.out() {
		direction = evidence.Out
	}
	w.nearby.add(Discovery{
		At: f.at, Node: p.label, Interface: p.device(f.index).Name, Direction: direction, Target: target, Advertises: advertises,
	})
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
	target, advertises, ok := discovery(protocol, data)
	key := tracedID{p, e.id}
	if !ok {
		delete(w.nearby.traced, key)
		return
	}
	if w.nearby.traced == nil {
		w.nearby.traced = map[tracedID]Discovery{}
	}
	if len(w.nearby.traced) >= mostNearby {
		clear(w.nearby.traced)
	}
	w.nearby.traced[key] = Discovery{Node: p.label, Target: target, Advertises: advertises}
}

// dropNeighbour notes that a rule dropped one.
func (w *Watch) dropNeighbour(p *point, e *traceEvent) {
	key := tracedID{p, e.id}
	d, ok := w.nearby.traced[key]
	if !ok {
		return
	}
	delete(w.nearby.traced, key)
	d.At, d.Rule = time.Now(), p.rule(e)
	w.nearby.add(d)
}

const (
	arpLength              = 28 // of IPv4 over Ethernet (RFC 826)
	arpRequest, arpReply   = 1, 2
	arpSender, arpTarget   = 14, 24
	discoveryTarget        = ipv6Header + 8 // RFC 4861, 4.3 and 4.4
	addrSize6              = 16
	solicitedNodeAddresses = "ff02::1:ff00:0/104" // RFC 4291, 2.7.1
)

var solicited = netip.MustParsePrefix(solicitedNodeAddresses)

// discovery reads a question or an answer about a neighbour, from the network header
// on. A trace cuts the address off that it is about: its end is then known from where
// it goes to, or comes from.
func discovery(protocol uint16, data []byte) (target netip.Addr, advertises, ok bool) {
	if protocol == unix.ETH_P_ARP {
		if len(data) < arpLength {
			return target, false, false
		}
		switch binary.BigEndian.Uint16(data[6:]) {
		case arpRequest:
			return netip.AddrFrom4([4]byte(data[arpTarget:])), false, true
		case arpReply:
			return netip.AddrFrom4([4]byte(data[arpSender:])), true, true
		}
		return target, false, false
	}
	if len(data) < discoveryTarget || data[0]>>4 != 6 || data[6] != unix.IPPROTO_ICMPV6 {
		return target, false, false
	}
	kind := data[ipv6Header]
	if kind != icmp6Solicit && kind != icmp6Advertise {
		return target, false, false
	}
	advertises = kind == icmp6Advertise
	if len(data) >= discoveryTarget+addrSize6 {
		return netip.AddrFrom16([addrSize6]byte(data[discoveryTarget:])), advertises, true
	}
	from, to := netip.AddrFrom16([addrSize6]byte(data[8:])), netip.AddrFrom16([addrSize6]byte(data[24:]))
	switch {
	case advertises:
		return from, true, true
	case !solicited.Contains(to):
		return to, false, true
	}
	var whole [addrSize6]byte
	n := copy(whole[:], data[discoveryTarget:])
	end := to.As16()
	copy(whole[13:], end[13:])
	_ = n
	return netip.AddrFrom16(whole), false, true
}

// Discoveries are the packets of neighbour discovery for an address since a time.
func (w *Watch) Discoveries(target netip.Addr, since time.Time) (found []Discovery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.nearby.last {
		if d.Target == target && !d.At.Before(since) {
			found = append(found, d)
		}
	}
	return found
}
