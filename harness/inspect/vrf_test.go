package inspect

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// A VRF is not in every kernel: this is what one that has it says of two VRFs with the same
// addresses, and of what is in none.
func TestDecisionsInVRFs(t *testing.T) {
	t.Parallel()
	const red, blue, redPort, bluePort, plainPort = 10, 20, 11, 21, 31
	all := netip.MustParsePrefix("10.0.0.0/8")
	s := &State{
		Links: []Link{
			{Index: red, Name: "red", Kind: "vrf", Table: 100}, {Index: blue, Name: "blue", Kind: "vrf", Table: 200},
			{Index: redPort, Name: "eth0", Kind: "veth", Master: red}, {Index: bluePort, Name: "eth1", Kind: "veth", Master: blue},
			{Index: plainPort, Name: "eth2", Kind: "veth"},
		},
		PolicyRules: []PolicyRule{
			{Priority: 1000, L3Master: true, Action: unix.FR_ACT_TO_TBL, SuppressBits: -1},
			{Priority: 32766, Table: unix.RT_TABLE_MAIN, Action: unix.FR_ACT_TO_TBL, SuppressBits: -1},
		},
		Routes: []Route{
			{Table: 100, To: all, Type: unix.RTN_UNICAST}, {Table: 200, To: all, Type: unix.RTN_BLACKHOLE}, {Table: unix.RT_TABLE_MAIN, To: all, Type: unix.RTN_PROHIBIT},
		},
	}
	for name, c := range map[string]struct {
		in, out int
		want    unix.Errno
	}{
		"came in by the red VRF":          {redPort, 0, 0},
		"came in by the blue one":         {bluePort, 0, unix.EINVAL},
		"came in by none":                 {plainPort, 0, unix.EACCES},
		"the node's own":                  {0, 0, unix.EACCES},
		"the node's own, in the red VRF":  {0, red, 0},
		"the node's own, in the blue one": {0, blue, unix.EINVAL},
		"bound to a port of the red VRF":  {0, redPort, 0},
	} {
		d, ok := s.Decide(Question{From: netip.MustParseAddr("10.0.0.1"), To: netip.MustParseAddr("10.0.2.1"), In: c.in, Out: c.out})
		if !ok || d.Errno() != c.want {
			t.Errorf("%s: %v %+v, want %v", name, ok, d, c.want)
		}
	}
	for index, want := range map[int]int{red: red, redPort: red, bluePort: blue, plainPort: 0, 0: 0} {
		if got := s.VRF(s.Link(index)); got != want {
			t.Errorf("interface %d is in VRF %d, want %d", index, got, want)
		}
	}
}
