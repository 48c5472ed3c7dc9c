package topo_test

import (
	"testing"

	"github.com/nstest/nstest/topo"
)

// spread is a network of nodes with several addresses each, some of which nobody
// reaches.
func spread() *topo.Network {
	network := topo.New("nearest")
	lan, mid, far := network.Switch("lan", "10.0.0.0/24", "fd00::/64"), network.Switch("mid", "10.1.0.0/24"), network.Switch("far", "10.2.0.0/24", "fd02::/64")
	raw := network.Switch("raw")
	network.Host("a", lan, raw.Also("10.7.0.1/24"))
	network.Router("r1", lan, mid)
	network.Router("r2", mid, far).Loopback("192.0.2.1/32", "fd09::1/128")
	network.Host("b", far, mid)
	network.Host("c", far, lan)
	network.Host("d", raw.Also("10.7.0.2/24"), far)
	network.Host("e", lan.NoAddress().Also("192.0.2.5/32"), far)
	network.Host("alone", network.Switch("island", "10.8.0.0/24"))
	network.Host("lone").Loopback("192.0.2.9/32")
	network.Host("bare")
	return network
}

func TestNearest(t *testing.T) {
	t.Parallel()
	plan := mustPlan(t, spread())
	for _, row := range []struct {
		from, to string
		v6       bool
		want     string // "" for none
	}{
		{"a", "a", false, "10.0.0.1"},
		{"a", "r1", false, "10.0.0.2"},    // on the segment that both are on
		{"b", "r1", false, "10.1.0.1"},    // the same from the other side
		{"a", "b", false, "10.1.0.3"},     // one hop away, though declared second
		{"a", "c", false, "10.0.0.3"},     // shared, though declared second
		{"a", "c", true, "fd00::3"},       // also in IPv6
		{"b", "c", false, "10.2.0.3"},     // and from the other side
		{"a", "d", false, "10.7.0.2"},     // further addresses of one subnet
		{"a", "e", false, "10.2.0.5"},     // nobody reaches the one on lan
		{"a", "r2", true, "fd02::1"},      // no way leads there: the first it has
		{"b", "r2", true, "fd02::1"},      // here one does
		{"b", "r1", true, "fd00::2"},      // the first it has
		{"alone", "b", false, "10.2.0.2"}, // from nowhere: the first it has
		{"b", "alone", false, "10.8.0.1"}, // to nowhere
		{"a", "lone", false, "192.0.2.9"}, // the loopback's last
		{"a", "lone", true, ""},           // none of that family
		{"a", "bare", false, ""},          // none at all
		{"a", "nobody", false, ""},        // no such node
		{"nobody", "a", false, ""},        // no such node
	} {
		for range 2 { // the second time it is known
			got, ok := plan.Nearest(row.from, row.to, row.v6)
			if ok != (row.want != "") || ok && got.String() != row.want {
				t.Errorf("from %s to %s, IPv6 %v: %s, %v, not %s", row.from, row.to, row.v6, got, ok, row.want)
			}
		}
	}
	if got, ok := new(topo.Plan).Nearest("a", "b", false); ok {
		t.Errorf("of no plan: %s", got)
	}
}
