package inspect

import (
	"net"
	"testing"
)

func TestPrefixesOfNets(t *testing.T) {
	t.Parallel()
	for want, n := range map[string]net.IPNet{
		"10.0.1.1/24":       {IP: net.IPv4(10, 0, 1, 1), Mask: net.CIDRMask(24, 32)}, // 16 bytes
		"10.0.1.0/24":       {IP: net.IP{10, 0, 1, 0}, Mask: net.CIDRMask(24, 32)},
		"0.0.0.0/0":         {IP: net.IP{0, 0, 0, 0}, Mask: net.CIDRMask(0, 32)},
		"fd00:1::1/64":      {IP: net.ParseIP("fd00:1::1"), Mask: net.CIDRMask(64, 128)},
		"::/0":              {IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
		"::ffff:0.0.0.0/96": {IP: net.ParseIP("::ffff:0:0"), Mask: net.CIDRMask(96, 128)},
	} {
		if got := prefixOf(n).String(); got != want {
			t.Errorf("%v: %s, want %s", n, got, want)
		}
	}
}
