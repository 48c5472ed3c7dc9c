package probes_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// A kernel that fails to send by ICMP counts it. A probe that was silent is asked again then; where
// the kernel has sent all, it is not.
func TestAskedAgainOfAMutedKernel(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	network := topo.New("muted")
	lan := network.Wire("lan", "10.0.2.0/24")
	network.Host("client", lan)
	network.Host("server", lan)
	lab := harness.Up(t, network)
	client, server := lab.Node("client"), lab.Node("server")
	asked := func(ask asks, within time.Duration) probes.Result {
		r, err := ask(t.Context(), client, netip.MustParseAddr("10.0.2.2"), probes.ICMP().Within(within))
		if err != nil {
			t.Error(err)
		}
		return r
	}
	const again = "asked again, since the kernel of server failed to send by ICMP"
	firstLost := func() {
		text := "flush ruleset\ntable ip t { chain out { type filter hook output priority 0; icmp type echo-reply limit rate 1/hour burst 1 packets drop; }; }"
		if err := server.Nft(text); err != nil {
			t.Fatal(err)
		}
	}
	if firstLost(); asked(probes.Ask, brief).Outcome != probes.Silent {
		t.Error("the first reply was dropped, and the probe is not silent")
	}

	lift := mute(t, server)
	heard := make(chan probes.Result, 1)
	if err := server.Nft("flush ruleset\ntable ip t { chain in { type filter hook input priority 0; icmp type echo-request counter; }; }"); err != nil {
		t.Fatal(err)
	}
	go func() { heard <- asked(probes.Watch, 2*time.Second) }()
	NewWithT(t).Eventually(func() (string, error) { return rulesOf(server) }).WithTimeout(20 * time.Second).ShouldNot(ContainSubstring("packets 0"))
	lift()
	if r := <-heard; r.Outcome != probes.Answered || !strings.Contains(r.String(), again) {
		t.Errorf("the kernel was muted when it was asked first, and it is %s", r)
	}
	grid := probes.Grid{From: []*harness.Node{client}, To: []probes.Target{server}, Probes: []probes.Probe{probes.ICMP().Within(brief)}}
	firstLost()
	if m, err := grid.Survey(t.Context()); err != nil || m.Cell("client", "server") != "ok" {
		t.Errorf("the kernel was muted once, and a survey says %s, %v", m, err)
	}
	firstLost()
	if r := asked(probes.Ask, brief); r.Outcome != probes.Answered || !strings.Contains(r.String(), again) {
		t.Errorf("the kernel was muted once, and it is %s", r)
	}
}

type asks func(context.Context, *harness.Node, probes.Target, probes.Probe) (probes.Result, error)

// rulesOf are a node's rules, with their counts.
func rulesOf(node *harness.Node) (string, error) {
	out, err := node.Command("nft", "list", "ruleset").Output()
	return string(out), err
}

const brief = 300 * time.Millisecond

// mute has server's kernel fail to send by ICMP to the client, until it is lifted: by a route whose MTU is below what IPv4 has at
// least (ip_setup_cork).
func mute(t *testing.T, server *harness.Node) (lift func()) {
	t.Helper()
	kernel := server.Netlink()
	lan, err := kernel.LinkByName("lan")
	if err != nil {
		t.Fatal(err)
	}
	to := netlink.Route{LinkIndex: lan.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4(10, 0, 2, 1), Mask: net.CIDRMask(32, 32)}, Scope: netlink.SCOPE_LINK, MTU: 60}
	if err := kernel.RouteAdd(&to); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := kernel.RouteDel(&to); err != nil {
			t.Error(err)
		}
	}
}
