package probes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"golang.org/x/sys/unix"
)

// mostBare bounds what a check without probes asks at each address.
const mostBare = 100

// bare is what a check without probes asks, and what it leaves out, with the reason.
type bare struct {
	asked []wanted
	left  []string
	// taken are ports that somebody listens at: the target's, by protocol.
	taken map[uint8]map[uint16]bool
	own   map[uint8]map[uint16]bool // the asker's, from which nothing can be asked
}

// wanted is a probe that a check asks.
type wanted struct {
	Probe
	family   int         // 4 or 6; 0 is both
	pairs    []pair      // that it is asked at
	fixed    rules.Trait // that the test chose
	excepted bool
	closed   bool // nobody listens at the port
	// forwarded is the port that is meant, where it is asked at another of which rules make that.
	forwarded forwarded
}

// String is the probe, with its source port if it has one of its own.
func (w wanted) String() string {
	if w.source.port == 0 {
		return w.Probe.String()
	}
	return fmt.Sprintf("%s from port %d", w.Probe, w.source.port)
}

const (
	protoTCP     = unix.IPPROTO_TCP
	protoUDP     = unix.IPPROTO_UDP
	protoUDPLite = unix.IPPROTO_UDPLITE
	protoSCTP    = unix.IPPROTO_SCTP
)

// bareProbes are ICMP, a protocol that nobody has, each port that the target listens at, a TCP
// and a UDP port that nobody has, and what the rules on the way and at the ends name.
func bareProbes(from *harness.Node, to Target) (*bare, error) {
	b := &bare{}
	var err error
	if b.own, err = listening(from); err != nil {
		return nil, err
	}
	b.taken = map[uint8]map[uint16]bool{protoTCP: {}, protoUDP: {}}
	for _, node := range ownersOf(from, to) {
		taken, err := listening(node)
		if err != nil {
			return nil, err
		}
		for protocol, ports := range taken {
			for port := range ports {
				b.taken[protocol][port] = true
			}
		}
	}
	var named []rules.Port
	at := onTheWay(from, to)
	for _, node := range at {
		set, err := rulesetOf(node)
		if err != nil {
			return nil, err
		}
		routed, err := routedPorts(node)
		if err != nil {
			return nil, err
		}
		named = append(append(named, rules.Named(set)...), routed...)
	}
	flows, err := flowsAt(from.Lab(), at)
	if err != nil {
		return nil, err
	}
	for _, f := range flows {
		named = append(named, f.named()...)
	}
	b.fill(named)
	return b, nil
}

// fill chooses, the most telling first.
func (b *bare) fill(named []rules.Port) {
	b.add(wanted{Probe: ICMP()}, "")
	b.add(wanted{Probe: timestamp(), family: 4}, "")
	b.add(wanted{Probe: Protocol(nobodysProtocol), closed: true}, "")
	listeners := map[uint8][]uint16{}
	for _, protocol := range []uint8{protoTCP, protoUDP} {
		for port := range b.taken[protocol] {
			listeners[protocol] = append(listeners[protocol], port)
		}
		slices.Sort(listeners[protocol])
		for _, port := range listeners[protocol] {
			b.port(protocol, port, 0, 0, "")
		}
		nobody := b.nobodys(protocol, named)
		listeners[protocol] = append(listeners[protocol], nobody)
		b.port(protocol, nobody, 0, 0, "")
	}
	for _, p := range named {
		why := fmt.Sprintf(" (%s)", p.Rule)
		switch {
		case p.Protocol != protoTCP && p.Protocol != protoUDP:
			b.other(p, why)
		case p.Number == 0:
		case !p.Source:
			b.port(p.Protocol, p.Number, 0, p.Family, why)
		case b.own[p.Protocol][p.Number]:
			b.leave(p.String()+why, "the asker has a socket there")
		default:
			for _, port := range listeners[p.Protocol] {
				b.port(p.Protocol, port, p.Number, p.Family, why)
			}
		}
	}
}

// other adds a protocol besides TCP and UDP. Of SCTP what begins no association is asked too: what
// tracks connections tells them apart.
func (b *bare) other(p rules.Port, why string) {
	if p.Protocol == unix.IPPROTO_ICMP || p.Protocol == unix.IPPROTO_ICMPV6 {
		return
	}
	switch {
	case p.Protocol == protoUDPLite && haveUDPLite():
		b.ported(UDPLite, p, why)
		return
	case p.Protocol == protoSCTP:
		b.ported(SCTP, p, why)
		if p.Source {
			return
		}
	}
	w := wanted{Probe: Protocol(p.Protocol), family: p.Family, closed: true}
	if !p.Source {
		w.port = p.Number
	}
	if extends(p.Protocol) && w.family == 0 {
		w.family = 4
	}
	if !isPlain(p.Protocol) || p.Source || extends(p.Protocol) && w.family == 6 {
		b.leave(p.String()+why, "no probe speaks it")
		return
	}
	b.add(w, why)
}

// ported adds a port of a protocol that has some: which, a rule may leave open.
func (b *bare) ported(probe func(port uint16) Probe, p rules.Port, why string) {
	to, from := p.Number, uint16(0)
	if p.Source || to == 0 {
		to, from = b.nobodys(p.Protocol, nil), p.Number
	}
	b.add(wanted{Probe: probe(to).FromPort(from), family: p.Family, closed: true}, why)
}

// port adds a port of TCP's or UDP's.
func (b *bare) port(protocol uint8, number, from uint16, family int, why string) {
	w := wanted{Probe: TCP(number).FromPort(from), family: family, closed: !b.taken[protocol][number]}
	if protocol == protoUDP {
		w.Probe = UDP(number).FromPort(from)
	}
	b.add(w, why)
}

// add adds what is not there yet, as long as there is room.
func (b *bare) add(w wanted, why string) {
	same := func(other wanted) bool {
		return w.Probe == other.Probe && (other.family == 0 || w.family == other.family)
	}
	switch {
	case slices.ContainsFunc(b.asked, same):
	case len(b.asked) == mostBare:
		b.leave(w.String()+why, fmt.Sprintf("%d are asked", mostBare))
	default:
		b.asked = append(b.asked, w)
	}
}

func (b *bare) leave(what, why string) {
	if text := what + ": " + why; !slices.Contains(b.left, text) {
		b.left = append(b.left, text)
	}
}

// nobodys is a port that neither a socket nor a rule is about.
func (b *bare) nobodys(protocol uint8, named []rules.Port) uint16 {
	for port := uint16(40000); ; port++ {
		of := func(p rules.Port) bool { return p.Protocol == protocol && p.Number == port }
		if !b.taken[protocol][port] && !slices.ContainsFunc(named, of) {
			return port
		}
	}
}

// String says what was asked, and what was not.
func (b *bare) String() string {
	var names []string
	for _, w := range b.asked {
		if name := w.String(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	text := strings.Join(names, ", ")
	if len(b.left) > 0 {
		text += "; left out: " + strings.Join(b.left, "; ")
	}
	return text
}

// ownersOf are the nodes that a target is, as far as the plan knows.
func ownersOf(from *harness.Node, to Target) (owners []*harness.Node) {
	if node := nodeOf(to); node != nil {
		return []*harness.Node{node}
	}
	addrs, _, err := addresses(from, to)
	if err != nil {
		return nil
	}
	names := from.Lab().Plan().Owners(addrs[0].WithZone(""))
	for _, node := range from.Lab().Nodes() {
		if slices.Contains(names, node.Name()) {
			owners = append(owners, node)
		}
	}
	return owners
}

// listening are the ports of a node's sockets that anybody may send to, by protocol.
func listening(node *harness.Node) (map[uint8]map[uint16]bool, error) {
	state := &inspect.State{}
	ns := inspect.Namespace{Do: node.Do}
	if err := ns.Fill(state, inspect.Want{Listeners: true, Datagrams: true}); err != nil {
		return nil, fmt.Errorf("list the sockets of node %s: %w", node, err)
	}
	found := map[uint8]map[uint16]bool{protoTCP: {}, protoUDP: {}}
	for _, l := range state.Listeners {
		found[protoTCP][l.Port] = true
	}
	for _, l := range state.UDP {
		found[protoUDP][l.Port] = true
	}
	return found, nil
}
