package harness_test

import (
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// That it is told when it is full is for a guest (suites/namespaces): here others use it.
func TestTheTableOfNeighboursHasRoom(t *testing.T) {
	t.Parallel()
	alice := harness.Up(t, pair()).Node("alice")
	attached := harness.Attach(t, "attached", alice.Path())
	for _, v6 := range []bool{false, true} {
		for range 2 {
			if alice.NeighbourTableFull(v6) || attached.NeighbourTableFull(v6) {
				t.Errorf("IPv6 %v: it is full", v6)
			}
		}
	}
	entries, err := alice.Netlink().NeighList(0, unix.AF_UNSPEC)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.State&netlink.NUD_STALE != 0 && (e.IP.String() == "192.0.2.255" || e.IP.String() == "100::ff") {
			t.Errorf("it left %v", e)
		}
	}
}
