package watch

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/probes/internal/wire"
	"github.com/nstest/nstest/probes/internal/wire/wiretest"
)

// followed is a book that follows a probe of each protocol, and a point.
func followed() (b book, trails map[wire.Protocol]*Trail, p *point) {
	b, trails = newBook(), map[wire.Protocol]*Trail{}
	for _, protocol := range []wire.Protocol{wire.ICMP, wire.TCP, wire.UDP, wire.UDPLite, wire.SCTP} {
		t := &Trail{Flow: wire.Flow{Protocol: protocol}}
		b.add(t, testMark, nil)
		trails[protocol] = t
	}
	return b, trails, &point{}
}

// parsed is a packet that is known to be one.
func parsed(data []byte) *wire.Packet {
	packet, ok := wire.Parse(data)
	if !ok {
		panic("no packet")
	}
	return packet
}

// whose is one packet and what it is to whom.
type whose struct {
	name string
	data []byte
	of   wire.Protocol // 0 is nobody's
	role role
}

func TestBookFindsWhoseAPacketIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ client, server netip.Addr }{{client4, server4}, {client6, server6}} {
		b, trails, p := followed()
		isn, nonce := trails[wire.TCP].isn, trails[wire.UDP].Flow.Nonce
		tag, header := trails[wire.SCTP].isn, map[bool]int{true: 20, false: 40}[c.client.Is4()]
		asker, service, other := ap(c.client, 40000), ap(c.server, 53), ap(c.server, 9999)
		own, light := trails[wire.ICMP].Flow.Nonce, trails[wire.UDPLite].Flow.Nonce
		for _, f := range []whose{
			{"an echo request", echo(c.client, c.server, false, 1, 1, own[:]), wire.ICMP, request},
			{"an echo reply", echo(c.server, c.client, true, 1, 1, own[:]), wire.ICMP, answer},
			{"an echo request cut off", echo(c.client, c.server, false, 1, 1, own[:12]), wire.ICMP, request},
			{"another's echo request", echo(c.client, c.server, false, 1, 1, append(testMark.echo[:], 9, 9, 9, 9, 9, 9, 9, 9)), 0, 0},
			{"a SYN", tcp(asker, service, wire.SYN, isn, 0), wire.TCP, request},
			{"a SYN that was translated", tcp(ap(c.client, 7), other, wire.SYN, isn, 0), wire.TCP, request},
			{"data", tcp(asker, service, wire.ACK, isn+100, 5), wire.TCP, request},
			{"a SYN,ACK", tcp(service, asker, wire.SYN|wire.ACK, 77, isn+1), wire.TCP, answer},
			{"a reset", tcp(service, asker, wire.RST|wire.ACK, 0, isn+1), wire.TCP, refusal},
			{"a reset without a number", tcp(service, asker, wire.RST, 5, 0), wire.TCP, refusal},
			{"an INIT", sctp(asker, service, wire.Init, 0, tag), wire.SCTP, request},
			{"an INIT that was translated", sctp(ap(c.client, 7), other, wire.Init, 0, tag), wire.SCTP, request},
			{"an INIT ACK", sctp(service, asker, wire.InitAck, tag, 77), wire.SCTP, answer},
			{"an INIT ACK whose own tag is one of the mark's", sctp(service, asker, wire.InitAck, 5, tag), 0, 0},
			{"an ABORT", sctp(service, asker, wire.Abort, tag, 0), wire.SCTP, refusal},
			{"an ABORT of the asker's kernel", sctp(asker, service, wire.Abort, tag, 0), wire.SCTP, request},
			{"another's INIT", sctp(asker, service, wire.Init, 0, tag+1), 0, 0},
			{"an INIT with a number of TCP's", sctp(asker, service, wire.Init, 0, isn), 0, 0},
			{"a segment with a tag of SCTP's", tcp(asker, service, wire.ACK, tag, 1), 0, 0},
			{"an INIT in an ICMP error", unreachable(c.server, sctp(asker, service, wire.Init, 0, tag)), wire.SCTP, refusal},
			{"an ICMP error that quotes but eight bytes of one", unreachable(c.server, ip(c.client, c.server, 132, sctp(asker, service, wire.Init, 0, tag)[header:header+8])), wire.SCTP, refusal},
			{"an INIT ACK in an ICMP error", unreachable(c.client, sctp(service, asker, wire.InitAck, tag, 77)), wire.SCTP, undone},
			{"another's SYN", tcp(asker, service, wire.SYN, isn+isnRoom, 0), 0, 0},
			{"an answer that came too early to be one", udp(service, asker, []byte("hello")), 0, 0},
			{"a datagram", udp(asker, service, ask(nonce)), wire.UDP, request},
			{"a datagram of UDP-Lite", lightly(udp(asker, service, ask(light))), wire.UDPLite, request},
			{"its answer", lightly(udp(service, asker, []byte("hello"))), wire.UDPLite, answer},
			{"its refusal", unreachable(c.server, lightly(udp(asker, service, ask(light)))), wire.UDPLite, refusal},
			{"what was sent, sent back", udp(service, asker, ask(nonce)), wire.UDP, answer},
			{"the same, from where it was not asked", udp(other, asker, ask(nonce)), wire.UDP, answer},
			{"an unsigned answer", udp(service, asker, []byte("hello")), wire.UDP, answer},
			{"a request that is sent back", udp(service, asker, ask(nonce)), wire.UDP, answer},
			{"a signed answer from elsewhere", udp(other, asker, signed(nonce)), wire.UDP, answer},
			{"another's datagram", udp(asker, service, ask(testNonce(1))), 0, 0},
			{"an error about a request", unreachable(c.server, udp(asker, service, ask(nonce))), wire.UDP, refusal},
			{"an error that quotes the header alone", unreachable(c.server, udp(asker, service, nil)), wire.UDP, refusal},
			{"an error about an answer", unreachable(c.client, tcp(service, asker, wire.SYN|wire.ACK, 77, isn+1)), wire.TCP, undone},
			{"an error about another's", unreachable(c.server, udp(asker, other, nil)), 0, 0},
		} {
			got, role := b.find(p, parsed(f.data))
			if got != trails[f.of] || role != f.role {
				t.Errorf("%s of %s: %v, %s", f.name, c.client, got != nil, role)
			}
		}
		crafted := &Trail{Flow: wire.Flow{Protocol: wire.TCP, Crafted: true}}
		b.add(crafted, testMark, nil)
		isn = crafted.isn
		for _, f := range []whose{
			{"a segment", tcp(asker, service, wire.ACK, isn, isn+AnswerRoom), wire.TCP, request},
			{"one that looks like an answer", tcp(asker, service, wire.SYN|wire.ACK, isn, isn+AnswerRoom), wire.TCP, request},
			{"a reset where it acknowledges", tcp(service, asker, wire.RST, isn+AnswerRoom, 0), wire.TCP, refusal},
			{"a reset that acknowledges it", tcp(service, asker, wire.RST|wire.ACK, 0, isn), wire.TCP, refusal},
			{"an answer", tcp(service, asker, wire.SYN|wire.ACK, 77, isn+1), wire.TCP, answer},
			{"the reset of who asked", tcp(asker, service, wire.RST, isn+1, 0), wire.TCP, request},
		} {
			if got, role := b.find(p, parsed(f.data)); got != crafted || role != f.role {
				t.Errorf("crafted: %s of %s: %v, %s", f.name, c.client, got != nil, role)
			}
		}
		trails[0] = crafted
		for _, trail := range trails {
			b.remove(trail)
		}
		if got, _ := b.find(p, parsed(tcp(asker, service, wire.SYN, isn, 0))); got != nil || len(b.byTuple)+len(b.byNonce)+len(b.trails) > 0 {
			t.Errorf("what is done is found: %v", b)
		}
	}
}

// As many connections as there are slots are told apart, and a slot is given again when
// its probe is done.
func TestBookGivesEachConnectionItsNumbers(t *testing.T) {
	t.Parallel()
	b, had := newBook(), map[uint32]bool{}
	var first *Trail
	for i := range isnFollowed {
		trail := &Trail{Flow: wire.Flow{Protocol: wire.TCP}}
		if b.add(trail, testMark, nil); had[trail.isn] || trail.isn&isnMask != testMark.isn {
			t.Fatalf("the %dth begins with %#x", i, trail.isn)
		}
		had[trail.isn] = true
		if first == nil {
			first = trail
		}
	}
	b.remove(first)
	again := &Trail{Flow: wire.Flow{Protocol: wire.TCP}}
	if b.add(again, testMark, nil); again.isn != first.isn {
		t.Errorf("the slot of %#x is not given again", first.isn)
	}
	if n := Sequence(); int(n&^isnMask/isnRoom) < isnFollowed || n&isnMask != ours().isn {
		t.Errorf("one that nobody follows begins with %#x", n)
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	target := netip.MustParseAddr("fd00:1::1234:5678")
	node := netip.MustParseAddr("ff02::1:ff34:5678")
	solicit := func(kind byte, from, to netip.Addr) []byte {
		body := append([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice()...)
		return wiretest.IP(from, to, 58, body)
	}
	arp := make([]byte, 28)
	arp[7] = 2
	copy(arp[14:], client4.AsSlice())
	copy(arp[24:], server4.AsSlice())
	for name, c := range map[string]struct {
		protocol   uint16
		data       []byte
		want       netip.Addr
		advertises bool
		asker      netip.Addr
	}{
		"a solicitation":          {0x86dd, solicit(135, client6, node), target, false, client6},
		"an advertisement":        {0x86dd, solicit(136, target, client6), target, true, client6},
		"an advertisement cut":    {0x86dd, solicit(136, target, client6)[:60], target, true, client6},
		"one that is sent to it":  {0x86dd, solicit(135, client6, target)[:60], target, false, client6},
		"an answer of ARP":        {0x0806, arp, client4, true, server4},
		"half of an ARP":          {0x0806, arp[:20], netip.Addr{}, false, netip.Addr{}},
		"another message":         {0x86dd, solicit(133, client6, node), netip.Addr{}, false, netip.Addr{}},
		"what is cut off too far": {0x86dd, solicit(135, client6, node)[:44], netip.Addr{}, false, netip.Addr{}},
	} {
		got, ok := discovery(c.protocol, c.data)
		if got.Target != c.want || got.Advertises != c.advertises || got.Cut || ok != c.want.IsValid() {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
		if ok && got.Asker != c.asker {
			t.Errorf("%s: asked by %s", name, got.Asker)
		}
	}
	// A trace has twelve bytes of the address: the rest is in the group's.
	if got, _ := discovery(0x86dd, solicit(135, client6, node)[:60]); got.Target.As16()[13] != 0x34 || got.Target.As16()[15] != 0x78 || !got.Cut {
		t.Error(got)
	}
}

// The numbers of a connection that lives are nobody else's, and are those of its next trail.
func TestBookKeepsNumbers(t *testing.T) {
	t.Parallel()
	b := newBook()
	first := &Trail{Flow: wire.Flow{Protocol: wire.TCP}}
	b.add(first, testMark, nil)
	b.kept[first.slot] = true
	b.remove(first)
	for range 2 * isnFollowed {
		other := &Trail{Flow: wire.Flow{Protocol: wire.TCP}}
		if b.add(other, testMark, nil); other.slot == first.slot {
			t.Fatal("another has its numbers")
		}
		b.remove(other)
	}
	next := &Trail{Flow: wire.Flow{Protocol: wire.TCP}}
	b.add(next, testMark, first)
	data := parsed(tcp(ap(client4, 40000), ap(server4, 80), wire.ACK, first.isn+100, 5))
	if found, role := b.find(&point{}, data); found != next || role != request {
		t.Error("what is sent over it is not its next trail's")
	}
}
