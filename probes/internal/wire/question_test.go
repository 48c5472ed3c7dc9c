package wire

import (
	"encoding/hex"
	"net/netip"
	"testing"
)

// Questions are as RFC 826 and RFC 4861 have them, byte by byte.
func TestQuestions(t *testing.T) {
	t.Parallel()
	mac := MAC{2, 0, 0, 0, 0, 7}
	for _, c := range []struct{ source, target, to, packet string }{
		{"10.0.1.1", "10.0.1.2", "ff:ff:ff:ff:ff:ff", "00010800060400010200000000070a000101" + "0000000000000a000102"},
		{"", "10.0.1.2", "ff:ff:ff:ff:ff:ff", "000108000604000102000000000700000000" + "0000000000000a000102"},
		{
			"fd00::1", "fd00::1:2:3", "33:33:ff:02:00:03",
			"6000000000203affff0200000000000000000001ff020003"[:16] + "fd000000000000000000000000000001" + "ff0200000000000000000001ff020003" +
				"87002e3f00000000" + "fd000000000000000000000100020003" + "0101020000000007",
		},
	} {
		q := Question{MAC: mac, Target: netip.MustParseAddr(c.target)}
		if c.source != "" {
			q.Source = netip.MustParseAddr(c.source)
		}
		ethernet, to, packet := q.Build()
		if to.String() != c.to || ethernet != map[bool]uint16{true: 0x0806, false: 0x86dd}[q.Target.Is4()] {
			t.Errorf("%s: to %s, type %#x", c.target, to, ethernet)
		}
		if q.Target.Is6() {
			d := Datagram{Source: netip.AddrPortFrom(q.Source, 0), Destination: netip.AddrPortFrom(netip.AddrFrom16([16]byte(packet[24:40])), 0)}
			if d.Checksum(58, packet[40:]) != 0 {
				t.Errorf("%s: the checksum", c.target)
			}
			packet[42], packet[43] = 0x2e, 0x3f
		}
		if got := hex.EncodeToString(packet); got != c.packet {
			t.Errorf("%s:\n got %s\nwant %s", c.target, got, c.packet)
		}
	}
	if _, _, packet := (Question{MAC: mac, Target: netip.MustParseAddr("fd00::1")}).Build(); len(packet) != 40+24 {
		t.Errorf("who has no address has no option with its MAC: %d bytes", len(packet))
	}
}
