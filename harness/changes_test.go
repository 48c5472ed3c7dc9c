package harness_test

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
)

// What was changed through the harness is known, of the twin as well; what was not
// done, or by other means, is none of it.
func TestChanges(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, twins())
	fw, a := lab.Node("fw"), lab.Node("a")
	lan6, all := netip.MustParsePrefix("fd00::9/64"), netip.MustParsePrefix("0.0.0.0/0")
	for _, err := range []error{
		fw.SetSysctl("net.ipv4.ip_forward", "1"), fw.SetSysctl("net.ipv4.ip_forward", "0"), fw.SetSysctl("net/ipv6/conf/lan/forwarding", "0"),
		fw.DelRoute(lan6), a.DelRoute(all),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for want, err := range map[string]error{
		"node fw: delete route to 192.0.2.0/24: there is none": fw.DelRoute(netip.MustParsePrefix("192.0.2.0/24")),
		"node fw: delete route: no destination":                fw.DelRoute(netip.Prefix{}),
		"node fw: sysctl \"kernel.x\" does not belong":         fw.SetSysctl("kernel.x", "1"),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	twin, err := lab.Twin()
	if err != nil {
		t.Fatal(err)
	}
	defer twin.Down()
	for _, lab := range []*harness.Lab{lab, twin} {
		got := lab.Node("fw").Changes()
		if want := map[string]string{"net/ipv4/ip_forward": "0", "net/ipv6/conf/lan/forwarding": "0"}; !maps.Equal(got.Sysctls, want) {
			t.Errorf("sysctls: %v", got.Sysctls)
		}
		if !slices.Equal(got.Routes, []netip.Prefix{lan6.Masked()}) || !slices.Equal(lab.Node("a").Changes().Routes, []netip.Prefix{all}) {
			t.Errorf("routes: %v", got.Routes)
		}
		if of := lab.Node("b").Changes(); len(of.Sysctls)+len(of.Routes) > 0 {
			t.Errorf("of b: %+v", of)
		}
		if _, err := lab.Node("a").Dial(t.Context(), "udp", netip.MustParseAddrPort("10.1.0.1:9")); err == nil {
			t.Error("a still has a way")
		}
	}
}
