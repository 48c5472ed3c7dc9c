package fence_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/fence"
	"github.com/nstest/nstest/topo"
)

// leaky is a sandbox behind a router with a rule about it.
func leaky(tb harness.TB, rule string) (*harness.Node, fence.World) {
	harness.Require(tb, harness.NftTool)
	network := topo.New("leaky")
	lan, wan := network.Switch("lan", "10.0.1.0/24"), network.Switch("wan", "198.51.100.0/24")
	network.Host("box", lan) // 10.0.1.1
	network.Host("free", lan)
	network.Host("outside", wan)
	network.Router("fw", lan, wan).Nft("table ip fence { chain forward { type filter hook forward priority 0; ip saddr 10.0.1.1 " + rule + "; }; }")
	lab := harness.Up(tb, network)
	return lab.Node("box"), fence.World{Outside: lab.Node("outside"), Free: lab.Node("free")}
}

func TestADropThatAnotherPacketPassesIsNoFence(t *testing.T) {
	for rule, why := range map[string]string{
		"udp sport 1024-65535 drop":                      "decides by the source port",
		"ip ttl 63 drop":                                 "decides by the TTL",
		"meta length > 31 drop":                          "decides by the packet's length",
		"ip dscp cs0 drop":                               "decides by the traffic class",
		"numgen inc mod 4 0-2 drop":                      "depends on",
		"limit rate over 1/hour burst 1 packets drop":    "depends on",
		"udp dport 9999 numgen random mod 1000 > 0 drop": "depends on",
	} {
		t.Run(rule, func(t *testing.T) {
			box, world := leaky(t, rule)
			report, err := fence.Check(t.Context(), box, world)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := report.Finding("udp")
			if got.State != fence.Unproven && got.State != fence.Open || got.State == fence.Unproven && !strings.Contains(got.Detail, why) {
				t.Errorf("%s; want that the rule %s", got, why)
			}
		})
	}
}

func TestWhatOtherPacketsPassDoesNotOpenAFence(t *testing.T) {
	for _, rule := range []string{
		"drop",
		"ct state established,related accept; ip saddr 10.0.1.1 drop",
		"udp sport 68 udp dport 67 accept; ip saddr 10.0.1.1 limit rate 1/second log; ip saddr 10.0.1.1 drop",
		"meta length > 9000 counter; ip saddr 10.0.1.1 meta mark set 7; meta mark 7 reject",
	} {
		t.Run(rule, func(t *testing.T) {
			box, world := leaky(t, rule)
			report, err := fence.Check(t.Context(), box, world)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := report.Finding("udp"); got.State != fence.Blocked {
				t.Error(got)
			}
		})
	}
}

// TestAFenceBySourcePortsHasAHole has a plain socket for its judge: what it sends gets out.
func TestAFenceBySourcePortsHasAHole(t *testing.T) {
	box, world := leaky(t, "udp sport 49152-65535 drop")
	to := netip.AddrPortFrom(world.Outside.Addr(), 9999)
	listener, err := world.Outside.ListenPacket(t.Context(), "udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	const below = 49151
	own, err := box.ListenPacket(t.Context(), "udp", netip.AddrPortFrom(box.Addr(), below))
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if _, err := own.WriteTo([]byte("out"), net.UDPAddrFromAddrPort(to)); err != nil {
		t.Fatal(err)
	}
	if err := listener.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := listener.ReadFrom(make([]byte, 8)); n == 0 || err != nil {
		t.Fatalf("%d bytes arrived: %v", n, err)
	}
	report, err := fence.Check(t.Context(), box, world)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := report.Finding("udp"); got.State == fence.Blocked {
		t.Errorf("%s; what a plain socket sent from port %d arrived", got, below)
	}
}

// TestAGatewayIsAskedAtEachOfItsAddresses has a plain socket for its judge.
func TestAGatewayIsAskedAtEachOfItsAddresses(t *testing.T) {
	box, world := leaky(t, "drop")
	world.Gateway = box.Lab().Node("fw")
	if err := world.Gateway.Nft("table ip host { chain input { type filter hook input priority 0; ip saddr 10.0.1.1 ip daddr " + world.Gateway.Addrs()[0].String() + " drop; }; }"); err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(world.Gateway.Addrs()[1], 80)
	listener, err := world.Gateway.Listen(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := box.Dial(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	report, err := fence.Check(t.Context(), box, world)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := report.Finding("gateway"); got.State != fence.Open || !strings.Contains(got.Detail, to.Addr().String()) {
		t.Errorf("%s; a plain socket connects to %s", got, to)
	}
}
