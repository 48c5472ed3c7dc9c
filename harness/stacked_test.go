package harness_test

import (
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// A node's port and what is made on it do not hear each other: others ask for both.
func TestUpAsksNobodyAboutItself(t *testing.T) {
	harness.Require(t, harness.MACVLAN)
	t.Parallel()
	network := topo.New("stacked")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	second := network.MACVLAN("second", lan)
	network.Host("a", lan, second)
	network.Host("b", lan)
	lab := harness.Up(t, network)
	arrives(t, lab.Node("b"), lab.Node("a"), lab.Node("a").Addrs()...)
	if err := lab.Node("a").Port("second").Down(); err != nil {
		t.Fatal(err)
	}
	if err := lab.Node("a").Port("second").Up(); err != nil {
		t.Fatal(err)
	}
	arrives(t, lab.Node("b"), lab.Node("a"), lab.Node("a").On("second").Addrs()...)
}
