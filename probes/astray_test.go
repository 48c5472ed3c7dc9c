package probes_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// A rule that stands on the way back to the asker isolates nobody: what led the packet there is
// a route, by mistake. Without it what is sent arrives.
func TestARuleOnTheWayBackIsNoPolicy(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(`table inet filter {
		chain post { type filter hook postrouting priority 0; oifname "lan" meta l4proto udp drop; }
		chain forward { type filter hook forward priority 0; tcp dport 80 drop; }
	}`))
	client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
	words := sink(t, server, 53)
	to := netip.MustParseAddr("10.0.2.1")
	say(t, client, netip.AddrPortFrom(to, 53))
	g := gomega.NewWithT(t)
	g.Eventually(words).Should(gomega.Equal(1), "the judge: by the plan's way it arrives")
	back := func(change func(*netlink.Route) error) {
		t.Helper()
		link, err := fw.Netlink().LinkByName("lan")
		if err != nil {
			t.Fatal(err)
		}
		_, one, _ := net.ParseCIDR("10.0.2.1/32")
		if err := change(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: one, Gw: net.IPv4(10, 0, 1, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	back(fw.Netlink().RouteAdd)
	for _, p := range []probes.Probe{dns, web} {
		holds, err := probes.BeIsolatedFrom(to, p).Match(client)
		if holds || err == nil || !strings.Contains(err.Error(), "on its way back by lan, where it came from") || !strings.Contains(err.Error(), "is by dmz") {
			t.Errorf("%s: %v, %v", p, holds, err)
		}
	}
	back(fw.Netlink().RouteDel)
	g.Expect(client).To(probes.BeIsolatedFrom(to, web))
}
