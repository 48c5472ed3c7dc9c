package harness_test

import (
	"os"
	"slices"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
)

// islands are two hosts on a switch, one on another, two on a wire, and one alone.
func islands(t *testing.T) *harness.Lab {
	t.Helper()
	network := topo.New("islands")
	one, two := network.Switch("one", "10.0.0.0/24"), network.Switch("two", "10.0.0.0/24")
	wire := network.Wire("wire", "10.0.2.0/24")
	network.Host("a", one)
	network.Host("b", one)
	network.Host("c", two)
	network.Host("d", wire)
	network.Host("e", wire)
	network.Host("alone")
	return harness.Up(t, network)
}

func joined(t *testing.T, a, b *harness.Node) bool {
	t.Helper()
	islands, err := a.Lab().Islands()
	if err != nil {
		t.Fatal(err)
	}
	var all []*harness.Node
	is := false
	for _, island := range islands {
		all = append(all, island...)
		is = is || slices.Contains(island, a) && slices.Contains(island, b)
	}
	if len(all) != len(a.Lab().Nodes()) {
		t.Errorf("%d nodes in all islands: %v", len(all), islands)
	}
	return is
}

func TestJoinedByThePlan(t *testing.T) {
	t.Parallel()
	lab := islands(t)
	for pair, want := range map[[2]string]bool{
		{"a", "a"}: true, {"a", "b"}: true, {"d", "e"}: true,
		{"a", "c"}: false, {"a", "d"}: false, {"c", "e"}: false, {"alone", "a"}: false, {"alone", "d"}: false,
	} {
		if joined(t, lab.Node(pair[0]), lab.Node(pair[1])) != want {
			t.Errorf("%v: joined is not %v", pair, want)
		}
	}
}

// What a test adds while the lab runs counts, in whichever namespace it is to be seen.
func TestJoinedByWhatIsAdded(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		join func(t *testing.T, lab *harness.Lab) error
		want bool // whether a and c are joined then
	}{
		"nothing": {func(*testing.T, *harness.Lab) error { return nil }, false},
		"a pair of links": {func(t *testing.T, lab *harness.Lab) error {
			return veth(t, lab.Node("a"), lab.Node("c"))
		}, true},
		"a chain of them": {func(t *testing.T, lab *harness.Lab) error {
			if err := veth(t, lab.Node("b"), lab.Node("alone")); err != nil {
				return err
			}
			return veth(t, lab.Node("alone"), lab.Node("c"))
		}, true},
		"half a chain": {func(t *testing.T, lab *harness.Lab) error { return veth(t, lab.Node("b"), lab.Node("alone")) }, false},
		"a tap at one": {func(t *testing.T, lab *harness.Lab) error { return tap(t, lab.Node("a")) }, false},
		"a tap at both": {func(t *testing.T, lab *harness.Lab) error {
			if err := tap(t, lab.Node("b")); err != nil {
				return err
			}
			return tap(t, lab.Node("c"))
		}, true},
		"a link that leads out of the lab, and a tap": {func(t *testing.T, lab *harness.Lab) error {
			if err := veth(t, lab.Node("a"), islands(t).Node("a")); err != nil {
				return err
			}
			return tap(t, lab.Node("c"))
		}, true},
		"a pair of links of its own": {func(_ *testing.T, lab *harness.Lab) error {
			return lab.Node("a").Netlink().LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "x", NetNsID: -1}, PeerName: "y"})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := islands(t)
			if err := row.join(t, lab); err != nil {
				t.Fatal(err)
			}
			if joined(t, lab.Node("a"), lab.Node("c")) != row.want {
				t.Errorf("joined is not %v", row.want)
			}
		})
	}
}

// veth joins two nodes by a pair of links that no plan has.
func veth(t *testing.T, a, b *harness.Node) error {
	t.Helper()
	file, err := os.Open(b.Path())
	if err != nil {
		return err
	}
	defer file.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "to" + b.Name()
	return a.Netlink().LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "to" + a.Name(), PeerNamespace: netlink.NsFd(file.Fd())})
}

// tap gives a node an interface that leads to a program.
func tap(t *testing.T, node *harness.Node) error {
	t.Helper()
	harness.Require(t, harness.TUN)
	return node.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "tap0"
		return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP})
	})
}
