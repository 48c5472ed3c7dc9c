package firewalls_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// office is two hosts on either side of a firewall.
//
//	pc, desk --lan-- fw --wan-- site, cafe
type office struct {
	lab                      *harness.Lab
	pc, desk, fw, site, cafe *harness.Node
}

func newOffice(tb harness.TB, rules ruleset) office {
	network := topo.New("office")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	wan := network.Switch("wan", "198.51.100.0/24", "fd00:2::/64")
	network.Host("pc", lan)
	network.Host("desk", lan)
	rules.give(network.Router("fw", lan, wan))
	network.Host("site", wan)
	network.Host("cafe", wan)
	lab := harness.Up(tb, network)
	return office{lab, lab.Node("pc"), lab.Node("desk"), lab.Node("fw"), lab.Node("site"), lab.Node("cafe")}
}
