package wire

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

// What is built is what the parser knows, and its checksums are right: over everything,
// with the checksum in place, the sum is zero.
func TestBuild(t *testing.T) {
	t.Parallel()
	for _, ends := range [][2]string{{"10.0.1.1:1053", "10.0.2.1:53"}, {"[fd00:1::1]:1053", "[fd00:2::1]:53"}} {
		d := Datagram{
			Source: netip.MustParseAddrPort(ends[0]), Destination: netip.MustParseAddrPort(ends[1]),
			TTL: 63, Sequence: 0xfedcba98, Payload: []byte("nstest? 0123456789abcdef odd"),
		}
		for _, protocol := range []Protocol{ICMP, TCP, UDP, UDPLite} {
			packet, err := d.Build(protocol)
			if err != nil {
				t.Fatal(err)
			}
			p := parsed(packet)
			if p.Source != d.Source.Addr() || p.Destination != d.Destination.Addr() || p.TTL != 63 || p.Length != len(packet) || p.SourcePort != 1053 {
				t.Errorf("%v: %+v", protocol, p)
			}
			header := 40
			if d.Source.Addr().Is4() {
				if header = 20; Checksum(packet[:header]) != 0 {
					t.Errorf("%v: the header's checksum", protocol)
				}
			}
			carried := packet[header:]
			pseudo := append(d.Source.Addr().AsSlice(), d.Destination.Addr().AsSlice()...)
			pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(carried)))
			pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(map[Protocol]int{ICMP: 58, TCP: 6, UDP: 17, UDPLite: 136}[protocol]))
			if protocol == ICMP && header == 20 {
				pseudo = nil
			}
			if Checksum(append(pseudo, carried...)) != 0 {
				t.Errorf("%v from %s: the checksum", protocol, d.Source)
			}
			if protocol != TCP && !bytes.HasSuffix(packet, d.Payload) {
				t.Errorf("%v: the payload", protocol)
			}
		}
	}
}

// A segment has the flags that it is to have, none of them too, and what they need.
func TestSegment(t *testing.T) {
	t.Parallel()
	for _, ends := range [][2]string{{"10.0.1.1:1053", "10.0.2.1:53"}, {"[fd00:1::1]:1053", "[fd00:2::1]:53"}} {
		d := Datagram{
			Source: netip.MustParseAddrPort(ends[0]), Destination: netip.MustParseAddrPort(ends[1]), TTL: 64, Sequence: 7, Acknowledged: 9,
		}
		for _, flags := range []byte{0, SYN, ACK, SYN | ACK, FIN | PSH | URG, RST, ECE | CWR} {
			segment := d.Segment(flags)
			p := parsed(d.Carry(6, segment))
			acknowledged := map[bool]uint32{true: 9}[flags&ACK != 0]
			if p.Flags != flags || p.Seq != 7 || p.Ack != acknowledged || p.SourcePort != 1053 || p.DestinationPort != 53 {
				t.Errorf("%q: %+v", FlagNames(flags), p)
			}
			if d.Checksum(6, segment) != 0 {
				t.Errorf("%q: the checksum", FlagNames(flags))
			}
		}
	}
	if names := FlagNames(FIN | PSH | URG); names != "FIN,PSH,URG" {
		t.Error(names)
	}
}

func TestBuildOfNoPacket(t *testing.T) {
	t.Parallel()
	four, six := netip.MustParseAddrPort("10.0.1.1:1"), netip.MustParseAddrPort("[fd00::1]:1")
	for _, d := range []Datagram{{}, {Source: four, Destination: six}, {Source: four}} {
		if packet, err := d.Build(UDP); err == nil {
			t.Errorf("%+v: %v", d, packet)
		}
	}
	if packet, err := (Datagram{Source: four, Destination: four}).Build(0); err == nil {
		t.Error(packet)
	}
}
