package wire

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// castagnoli is the checksum of SCTP as its polynomial says it, bit by bit (RFC 9260, appendix A).
func castagnoli(b []byte) uint32 {
	const reversed = 0x82f63b78
	sum := ^uint32(0)
	for _, octet := range b {
		sum ^= uint32(octet)
		for range 8 {
			odd := sum & 1
			sum = sum>>1 ^ reversed*odd
		}
	}
	return ^sum
}

// What asks for an association is what the parser knows, with its tag and its checksum.
func TestInit(t *testing.T) {
	t.Parallel()
	for _, ends := range [][2]string{{"10.0.1.1:50000", "10.0.2.1:38412"}, {"[fd00:1::1]:50000", "[fd00:2::1]:38412"}} {
		d := Datagram{Source: netip.MustParseAddrPort(ends[0]), Destination: netip.MustParseAddrPort(ends[1]), TTL: 64, Sequence: 0xfedcba98}
		packet := d.Init()
		p := parsed(d.Carry(unix.IPPROTO_SCTP, packet))
		if p.Seq != d.Sequence || p.Ack != 0 || p.Chunk != Init || p.SourcePort != 50000 || p.DestinationPort != 38412 {
			t.Errorf("%+v", p)
		}
		if want := "sctp " + ends[0] + " > " + ends[1] + " INIT"; p.String() != want {
			t.Errorf("%s is not %s", p, want)
		}
		sum := binary.LittleEndian.Uint32(packet[8:])
		clear(packet[8:12])
		if castagnoli(packet) != sum {
			t.Errorf("the checksum of %s is %#x", p, sum)
		}
	}
}

// What comes back has the tag in its header, however much of it is there.
func TestChunks(t *testing.T) {
	t.Parallel()
	header := []byte{0x96, 0x0c, 0xc3, 0x50, 1, 2, 3, 4, 0, 0, 0, 0}
	for text, c := range map[string]struct {
		chunk    []byte
		kind     byte
		seq, ack uint32
	}{
		"INIT ACK": {[]byte{2, 0, 0, 20, 9, 9, 9, 9}, InitAck, 0x09090909, 0x01020304},
		"ABORT":    {[]byte{6, 1, 0, 4, 9, 9, 9, 9}, Abort, 0, 0x01020304},
		"chunk 10": {[]byte{10, 0, 0, 4}, 10, 0, 0x01020304},
	} {
		for cut := range len(c.chunk) {
			packet := append(append([]byte{}, header...), c.chunk[:len(c.chunk)-cut]...)
			p := parsed(ip(server4, client4, unix.IPPROTO_SCTP, packet))
			seq := c.seq
			if cut > 0 {
				seq = 0
			}
			if p.Chunk != c.kind || p.Seq != seq || p.Ack != c.ack || p.String() != "sctp 10.0.2.1:38412 > 10.0.1.1:50000 "+text {
				t.Errorf("%s without %d bytes: %+v", p, cut, p)
			}
			if kind, tag := Chunk(packet[:max(len(packet), 13)]); kind != c.kind || tag != c.ack {
				t.Errorf("%d, %#x", kind, tag)
			}
		}
	}
	quoted := parsed(ip(client4, server4, unix.IPPROTO_SCTP, header[:8])) // by an ICMP error (RFC 792)
	if quoted.SourcePort != 38412 || quoted.Ack != 0x01020304 || quoted.Seq != 0 {
		t.Errorf("%+v", quoted)
	}
}
