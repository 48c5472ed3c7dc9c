package harness

import (
	"fmt"
	"testing"

	"github.com/nstest/nstest/topo"
)

// What a lab costs is mostly the requests that the kernel has to answer: each
// takes 10 to 400 us of the rtnl lock, which is one for the machine.
func TestRequestsOfAStarAreBounded(t *testing.T) {
	const hosts = 50
	routed := topo.New("routed")
	var segments []topo.Attachment
	for i := range hosts {
		segment := routed.Wire(fmt.Sprintf("w%d", i), fmt.Sprintf("10.0.%d.0/24", i))
		segments = append(segments, segment)
		routed.Host(fmt.Sprintf("h%d", i), segment)
	}
	routed.Router("r", segments...)
	switched := topo.New("switched")
	lan := switched.Switch("lan", "10.0.0.0/16")
	for i := range hosts {
		switched.Host(fmt.Sprintf("h%d", i), lan)
	}
	for network, perHost := range map[*topo.Network]int{
		// pair; address and GETLINK at each end; loopback, port, route
		routed: 8,
		// pair; GETLINK at each end; loopback, port, address
		switched: 6,
	} {
		lab, err := build(network)
		if err != nil {
			t.Fatal(err)
		}
		sent := 0
		for _, node := range lab.now().nodes {
			sent += node.ground.rtnl.sent
		}
		if lab.now().fabric != nil {
			sent += lab.now().fabric.rtnl.sent
		}
		lab.Down()
		// What a star has once: a router's loopback, or a bridge, made and set up.
		if most := perHost*hosts + 2; sent > most || sent < 4*hosts {
			t.Errorf("%s: %d requests for %d hosts, at most %d", network.Name(), sent, hosts, most)
		}
	}
}
