package watch_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What a plan cannot declare is lifted as well: an isolated port, and a node whose
// routes were taken away.
func TestLift(t *testing.T) {
	t.Parallel()
	lab := bridged(t)
	client, box := lab.Node("client"), lab.Node("box")
	serve(t, lab.Node("server"), 53)
	for _, name := range []string{"left", "right"} {
		must(t, box.Netlink().LinkSetIsolated(link(t, box, name), true))
	}
	neighbour := netip.MustParseAddr("10.0.1.2")
	cause := ask(t, client, to(udp, neighbour, 53)).cause()
	if waits(t, client) == 0 {
		t.Error("the client does not wait for its neighbour")
	}
	must(t, watch.Lift(box, cause))
	if n := waits(t, client); n > 0 {
		t.Errorf("the client waits for %d neighbours, and will ask again after a second", n)
	}
	if by := ask(t, client, to(udp, neighbour, 53)).answered().Answerer(); by != "server" {
		t.Errorf("%s; lifted, it was answered by %q", cause, by)
	}
}

// waits counts the neighbours that a node has asked for in vain.
func waits(t *testing.T, node *harness.Node) (n int) {
	t.Helper()
	entries, err := node.Netlink().NeighList(0, netlink.FAMILY_V4)
	must(t, err)
	for _, e := range entries {
		if e.State&(unix.NUD_INCOMPLETE|unix.NUD_FAILED) != 0 {
			n++
		}
	}
	return n
}

func TestLiftIsAnErrorWhereThereIsNothingToLift(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	fw := lab.Node("fw")
	gone := &evidence.Rule{Family: "inet", Table: "filter", Chain: "forward", Handle: 7}
	for want, c := range map[string]evidence.Cause{
		"lift linkdown@fw: it is no policy":                                      {Kind: evidence.LinkDown, Node: "fw"},
		"lift noroute@client: it is no policy":                                   {Kind: evidence.NoRoute, Node: "client"},
		"lift noroute@fw: no way leads to ":                                      {Kind: evidence.NoRoute, Node: "fw", Router: true, Policy: true},
		"lift blackhole@fw: there is no such route":                              {Kind: evidence.Blackhole, Node: "fw", Policy: true},
		"lift drop@fw: node fw: nftables: ":                                      {Kind: evidence.Drop, Node: "fw", Rule: gone, Policy: true},
		"lift isolated@fw: Link not found":                                       {Kind: evidence.PortIsolated, Node: "fw", Interface: "none", Policy: true},
		"lift noforward@fw: node fw: sysctl \"\" does not belong to a network n": {Kind: evidence.NoForward, Node: "fw", Policy: true},
	} {
		if err := watch.Lift(fw, c); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A policy routing rule without a table is lifted as well.
func TestLiftOfAPolicyRoutingRule(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, fw := lab.Node("client"), lab.Node("fw")
	serve(t, lab.Node("server"), 53)
	rule := netlink.NewRule()
	rule.Family, rule.Type, rule.IPProto, rule.Dport, rule.Priority = netlink.FAMILY_V4, unix.RTN_PROHIBIT, unix.IPPROTO_UDP, netlink.NewRulePortRange(53, 53), 90
	must(t, fw.Netlink().RuleAdd(rule))
	cause := ask(t, client, to(udp, server4, 53)).cause()
	if want := "the request was rejected at fw/lan: policy routing rule 90: from all ipproto udp dport 53 prohibit"; cause.String() != want {
		t.Fatalf("%s, want %s", cause, want)
	}
	must(t, watch.Lift(fw, cause))
	if by := ask(t, client, to(udp, server4, 53)).answered().Answerer(); by != "server" {
		t.Errorf("%s; lifted, it was answered by %q", cause, by)
	}
}
