package inspect

import (
	"net/netip"
	"slices"
	"testing"
)

func TestGroupsAreRead(t *testing.T) {
	t.Parallel()
	want := Group{"lan", netip.MustParseAddr("224.0.0.1")}
	if got := groups4("Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n2\tlan       :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n"); !slices.Equal(got, []Group{want}) {
		t.Error(got)
	}
	want = Group{"lan", netip.MustParseAddr("ff02::1:ff00:2")}
	if got := groups6("2    lan             ff0200000000000000000001ff000002     1 00000004 0\n"); !slices.Equal(got, []Group{want}) {
		t.Error(got)
	}
}

// Every kernel is in the groups of all hosts and all nodes by itself.
func TestGroupsOfThisNamespace(t *testing.T) {
	t.Parallel()
	got, err := Groups()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"224.0.0.1", "ff02::1"} {
		if !slices.Contains(got, Group{"lo", netip.MustParseAddr(addr)}) {
			t.Errorf("%s is not in %v", addr, got)
		}
	}
}
