package wire

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// sample is a packet, what is to be read of it, and how it is called.
type sample struct {
	data []byte
	want Packet
	text string
}

// A datagram behind one and behind two extension headers.
var (
	hopByHop = append([]byte{unix.IPPROTO_UDP, 0, 1, 4, 0, 0, 0, 0}, udp(ap(client6, 1000), ap(server6, 53), []byte("hello"))[40:]...)
	routing  = append([]byte{unix.IPPROTO_HOPOPTS, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, hopByHop...)
)

var samples = map[string]sample{
	"udp": {
		udp(ap(client4, 1000), ap(server4, 53), []byte("hello")),
		Packet{Source: client4, Destination: server4, Protocol: 17, TTL: 64, Length: 33, SourcePort: 1000, DestinationPort: 53, Payload: []byte("hello")},
		"udp 10.0.1.1:1000 > 10.0.2.1:53",
	},
	"udplite": {
		ip(client4, server4, unix.IPPROTO_UDPLITE, udp(ap(client4, 1000), ap(server4, 53), []byte("hello"))[20:]),
		Packet{Source: client4, Destination: server4, Protocol: 136, TTL: 64, Length: 33, SourcePort: 1000, DestinationPort: 53, Payload: []byte("hello")},
		"udplite 10.0.1.1:1000 > 10.0.2.1:53",
	},
	"udp without a word": {
		udp(ap(client4, 1), ap(server4, 2), nil),
		Packet{Source: client4, Destination: server4, Protocol: 17, TTL: 64, Length: 28, SourcePort: 1, DestinationPort: 2},
		"udp 10.0.1.1:1 > 10.0.2.1:2",
	},
	"udp6": {
		udp(ap(client6, 1000), ap(server6, 53), []byte("hello")),
		Packet{Source: client6, Destination: server6, Protocol: 17, TTL: 64, Length: 53, SourcePort: 1000, DestinationPort: 53, Payload: []byte("hello")},
		"udp [fd00:1::1]:1000 > [fd00:2::1]:53",
	},
	"an option": {
		withOptions(udp(ap(client4, 1000), ap(server4, 53), []byte("hello")), 4),
		Packet{Source: client4, Destination: server4, Protocol: 17, TTL: 64, Length: 37, SourcePort: 1000, DestinationPort: 53, Payload: []byte("hello")},
		"udp 10.0.1.1:1000 > 10.0.2.1:53",
	},
	"all options": {
		withOptions(tcp(ap(client4, 1000), ap(server4, 22), SYN, 7, 0), 40),
		Packet{Source: client4, Destination: server4, Protocol: 6, TTL: 64, Length: 80, SourcePort: 1000, DestinationPort: 22, Flags: SYN, Seq: 7},
		"tcp 10.0.1.1:1000 > 10.0.2.1:22 SYN",
	},
	"an extension header": {
		ip(client6, server6, unix.IPPROTO_HOPOPTS, hopByHop),
		Packet{Source: client6, Destination: server6, Protocol: 17, TTL: 64, Length: 61, SourcePort: 1000, DestinationPort: 53, Payload: []byte("hello")},
		"udp [fd00:1::1]:1000 > [fd00:2::1]:53",
	},
	"two extension headers": {
		ip(client6, server6, unix.IPPROTO_ROUTING, routing),
		Packet{Source: client6, Destination: server6, Protocol: 17, TTL: 64, Length: 77, SourcePort: 1000, DestinationPort: 53, Payload: []byte("hello")},
		"udp [fd00:1::1]:1000 > [fd00:2::1]:53",
	},
	"tcp flags": {
		tcp(ap(server4, 22), ap(client4, 1000), SYN|ACK|RST|FIN|8, 9, 8),
		Packet{Source: server4, Destination: client4, Protocol: 6, TTL: 64, Length: 40, SourcePort: 22, DestinationPort: 1000, Flags: 0x1f, Seq: 9, Ack: 8},
		"tcp 10.0.2.1:22 > 10.0.1.1:1000 SYN,FIN,RST,ACK",
	},
	"no tcp flags": {
		tcp(ap(server6, 22), ap(client6, 1000), 0, 9, 8),
		Packet{Source: server6, Destination: client6, Protocol: 6, TTL: 64, Length: 60, SourcePort: 22, DestinationPort: 1000, Seq: 9, Ack: 8},
		"tcp [fd00:2::1]:22 > [fd00:1::1]:1000 ",
	},
	"echo request": {
		echo(client4, server4, false, 7, 1, []byte("hello")),
		Packet{Source: client4, Destination: server4, Protocol: 1, TTL: 64, Length: 33, ICMP: true, Type: 8, SourcePort: 7, DestinationPort: 1, Payload: []byte("hello")},
		"echo request 10.0.1.1 > 10.0.2.1",
	},
	"echo reply": {
		echo(server6, client6, true, 7, 1, nil),
		Packet{Source: server6, Destination: client6, Protocol: 58, TTL: 64, Length: 48, ICMP: true, ICMPv6: true, Type: 129, SourcePort: 7, DestinationPort: 1},
		"echo reply fd00:2::1 > fd00:1::1",
	},
	"neighbour solicitation": {
		icmp(client6, server6, 135, 0, 0, server6.AsSlice()),
		Packet{Source: client6, Destination: server6, Protocol: 58, TTL: 64, Length: 64, ICMP: true, ICMPv6: true, Type: 135},
		"icmpv6 135/0 fd00:1::1 > fd00:2::1",
	},
	"a redirect, which is no error": {
		icmp(client4, server4, 5, 1, 0, udp(ap(server4, 1), ap(client4, 2), nil)),
		Packet{Source: client4, Destination: server4, Protocol: 1, TTL: 64, Length: 56, ICMP: true, Type: 5, Code: 1},
		"icmp 5/1 10.0.1.1 > 10.0.2.1",
	},
	"a later fragment": {
		fragmentAt(udp(ap(client4, 1000), ap(server4, 53), []byte("hello")), 185),
		Packet{Source: client4, Destination: server4, Protocol: 17, TTL: 64, Length: 33, Fragment: true},
		"fragment 10.0.1.1 > 10.0.2.1 from byte 1480 on",
	},
	"a first fragment": {
		fragmentAt(udp(ap(client4, 1000), ap(server4, 53), []byte("hello")), 0x2000), // more fragments
		Packet{Source: client4, Destination: server4, Protocol: 17, TTL: 64, Length: 33, SourcePort: 1000, DestinationPort: 53, Payload: []byte("hello")},
		"udp 10.0.1.1:1000 > 10.0.2.1:53",
	},
}

func TestPackets(t *testing.T) {
	t.Parallel()
	for name, c := range samples {
		p, ok := Parse(c.data)
		if !ok {
			t.Errorf("%s: no packet", name)
			continue
		}
		payload := p.Payload
		if !slices.Equal(payload, c.want.Payload) {
			t.Errorf("%s: payload %q, want %q", name, payload, c.want.Payload)
		}
		if p.String() != c.text {
			t.Errorf("%s: %q, want %q", name, p, c.text)
		}
		checkHeader(t, name, p, c.want)
	}
}

// checkHeader compares all but the payload and what an error quotes.
func checkHeader(t *testing.T, name string, p *Packet, want Packet) {
	t.Helper()
	got, quoted := *p, p.About != nil
	type header struct {
		Tuple
		ttl, flags, icmpType, code byte
		length                     int
		fragment, isICMP, isICMPv6 bool
		seq, ack, mtu              uint32
	}
	of := func(p *Packet) header {
		return header{p.Tuple(), p.TTL, p.Flags, p.Type, p.Code, p.Length, p.Fragment, p.ICMP, p.ICMPv6, p.Seq, p.Ack, p.MTU}
	}
	if of(&got) != of(&want) {
		t.Errorf("%s: %+v, want %+v", name, of(&got), of(&want))
	}
	if quoted != (want.About != nil) {
		t.Errorf("%s: quotes a packet: %v", name, quoted)
	}
}

// An error quotes the packet that it is about: its header and eight bytes at
// least (RFC 792), as much as fits in IPv6 (RFC 4443).
func TestErrorsQuoteAPacket(t *testing.T) {
	t.Parallel()
	syn4, syn6 := tcp(ap(client4, 1000), ap(server4, 22), SYN, 77, 0), tcp(ap(client6, 1000), ap(server6, 22), SYN, 77, 0)
	fw4, fw6 := netip.MustParseAddr("10.0.1.2"), netip.MustParseAddr("fd00:1::2")
	for name, c := range map[string]struct {
		data []byte
		text string
		mtu  uint32
		seq  uint32
	}{
		"eight bytes":           {icmp(fw4, client4, 3, 1, 0, syn4[:28]), "icmp 3/1 10.0.1.2 > 10.0.1.1", 0, 77},
		"all of it":             {icmp(fw4, client4, 11, 0, 0, syn4), "icmp 11/0 10.0.1.2 > 10.0.1.1", 0, 77},
		"a parameter problem":   {icmp(fw4, client4, 12, 0, 0, syn4), "icmp 12/0 10.0.1.2 > 10.0.1.1", 0, 77},
		"fragmentation needed":  {icmp(fw4, client4, 3, 4, 0xbeef_0514, syn4), "icmp 3/4 10.0.1.2 > 10.0.1.1", 1300, 77},
		"packet too big":        {icmp(fw6, client6, 2, 0, 0x0001_0514, syn6), "icmpv6 2/0 fd00:1::2 > fd00:1::1", 0x10514, 77},
		"eight bytes of v6":     {icmp(fw6, client6, 1, 4, 0, syn6[:48]), "icmpv6 1/4 fd00:1::2 > fd00:1::1", 0, 77},
		"no host of v6":         {icmp(fw6, client6, 1, 3, 0, syn6), "icmpv6 1/3 fd00:1::2 > fd00:1::1", 0, 77},
		"a v6 hop limit":        {icmp(fw6, client6, 3, 0, 0, syn6), "icmpv6 3/0 fd00:1::2 > fd00:1::1", 0, 77},
		"a v6 parameter":        {icmp(fw6, client6, 4, 0, 0, syn6), "icmpv6 4/0 fd00:1::2 > fd00:1::1", 0, 77},
		"less than eight bytes": {icmp(fw4, client4, 3, 1, 0, syn4[:27]), "icmp 3/1 10.0.1.2 > 10.0.1.1", 0, 0},
	} {
		p := parsed(c.data)
		if p.String() != c.text || p.MTU != c.mtu {
			t.Errorf("%s: %q with MTU %d, want %q with %d", name, p, p.MTU, c.text, c.mtu)
		}
		if want := strings.HasPrefix(c.text, "icmp 3/1 ") || strings.HasPrefix(c.text, "icmpv6 1/3 "); p.SaysNoHost() != want {
			t.Errorf("%s: says that the host was not reached: %v", name, p.SaysNoHost())
		}
		if !p.IsError() || p.About == nil || p.About.Seq != c.seq || p.About.Source != parsed(c.data).Destination {
			t.Errorf("%s: is about %+v", name, p.About)
		}
		if c.seq != 0 && p.About.Flags&SYN == 0 {
			t.Errorf("%s: the quoted packet is no SYN", name)
		}
	}
	if p := parsed(icmp(fw4, client4, 3, 1, 0, syn4[:19])); p.About != nil {
		t.Errorf("half a header quoted: %+v", p.About)
	}
}

// What is cut off before its transport header is complete is no packet, and
// nothing of any length is read beyond its end.
func TestCutPackets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data []byte
		need int // the least length that is a packet
	}{
		"udp":       {udp(ap(client4, 1), ap(server4, 2), []byte("hello")), 28},
		"udp6":      {udp(ap(client6, 1), ap(server6, 2), []byte("hello")), 48},
		"tcp":       {tcp(ap(client4, 1), ap(server4, 2), SYN, 1, 0), 28},
		"options":   {withOptions(udp(ap(client4, 1), ap(server4, 2), nil), 12), 40},
		"icmp":      {echo(client4, server4, false, 1, 1, []byte("hello")), 28},
		"icmp6":     {echo(client6, server6, false, 1, 1, []byte("hello")), 48},
		"error":     {unreachable(server4, udp(ap(client4, 1), ap(server4, 2), []byte("hello"))), 28},
		"extension": {ip(client6, server6, unix.IPPROTO_DSTOPTS, append([]byte{17, 1, 14: 0, 15: 0}, make([]byte, 8)...)), 64},
		"a fragment": {
			fragmentAt(udp(ap(client4, 1), ap(server4, 2), []byte("hello")), 1), 20,
		},
	} {
		for n := range len(c.data) + 1 {
			p, ok := Parse(slices.Clip(c.data[:n:n]))
			if ok != (n >= c.need) {
				t.Errorf("%s, %d of %d bytes: packet %v, want %v", name, n, len(c.data), ok, n >= c.need)
			}
			if ok && p.Source != parsed(c.data).Source {
				t.Errorf("%s, %d bytes: from %s", name, n, p.Source)
			}
		}
	}
}

func TestWhatIsNoPacket(t *testing.T) {
	t.Parallel()
	short := udp(ap(client4, 1), ap(server4, 2), []byte("hello"))
	short[0] = 0x44 // a header of 16 bytes
	long := udp(ap(client4, 1), ap(server4, 2), []byte("hello"))
	long[0] = 0x4f // of 60, which are not there
	endless := ip(client6, server6, unix.IPPROTO_HOPOPTS, []byte{unix.IPPROTO_HOPOPTS, 255, 0, 0, 0, 0, 0, 0, 0, 0})
	for name, data := range map[string][]byte{
		"nothing": nil, "version 0": make([]byte, 64), "a short header": short, "a header too long": long,
		"arp":                         {0, 1, 8, 0, 6, 4, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 1, 1, 0, 0, 0, 0, 0, 0, 10, 0, 1, 2},
		"an extension beyond its end": endless,
		"a v6 fragment":               ip(client6, server6, unix.IPPROTO_FRAGMENT, make([]byte, 32)),
	} {
		if p, ok := Parse(data); ok {
			t.Errorf("%s is taken for %s", name, p)
		}
	}
	if text := (&Packet{Protocol: 47, Source: client4, Destination: server4}).String(); text != "protocol 47 10.0.1.1 > 10.0.2.1" {
		t.Errorf("of another protocol: %q", text)
	}
}

func FuzzParseIP(f *testing.F) {
	f.Add(udp(ap(client4, 1), ap(server4, 2), []byte("hello")))
	f.Add(withOptions(tcp(ap(client4, 1), ap(server4, 2), SYN, 1, 0), 8))
	f.Add(unreachable(server6, tcp(ap(client6, 1), ap(server6, 2), SYN, 1, 0)))
	f.Add(unreachable(server4, unreachable(client4, echo(server4, client4, true, 1, 1, nil))))
	f.Add(ip(client6, server6, unix.IPPROTO_ROUTING, []byte{17, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 8, 0, 0}))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, ok := Parse(data)
		if !ok {
			return
		}
		if p.String() == "" || !p.Source.IsValid() || p.Source.BitLen() != p.Destination.BitLen() {
			t.Errorf("%x: %+v", data, p)
		}
		if p.Tuple().Reverse().Reverse() != p.Tuple() {
			t.Errorf("%s reversed twice is %+v", p, p.Tuple().Reverse().Reverse())
		}
		if v4 := data[0]>>4 == 4; v4 && p.Length != int(binary.BigEndian.Uint16(data[2:])) {
			t.Errorf("%s: length %d", p, p.Length)
		}
	})
}
