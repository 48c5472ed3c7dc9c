package topo_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

const officeTable = `
network office

SEGMENT     KIND    MTU   PREFIXES                 NODES
lan         switch  1500  10.0.1.0/24 fd00:1::/64  fw, client
branch/lan  wire    1400  10.0.2.0/24              fw, server
raw         switch  1500  -                        client

NODE    KIND    PORT                MTU   MAC                ADDRESSES
fw      router  lan                 1500  c6:41:2f:1d:63:a1  10.0.1.1/24 fd00:1::1/64
fw      router  lan-2 (branch/lan)  1400  f6:5b:7b:82:13:c0  10.0.2.1/24
client  host    lan                 1500  02:00:00:00:00:01  10.0.1.9/24 fd00:1::2/64
client  host    raw                 1500  8e:d9:69:55:26:16  -
server  host    lan (branch/lan)    9000  02:00:00:00:00:02  10.0.2.80/24
server  host    lo                  -     -                  192.0.2.1/32
idle    host    lo                  -     -                  -

NODE    ROUTE                           VIA        PORT
fw      192.0.2.1/32                    10.0.2.80  lan-2
client  blackhole 10.0.0.0/8            -          -
client  10.7.0.0/16 table 100 metric 7  -          lan
client  prohibit ::/0 table 9           -          -
client  default                         10.0.1.1   lan
client  10.0.2.0/24                     10.0.1.1   lan
client  192.0.2.1/32                    10.0.1.1   lan
server  default                         10.0.2.1   lan

NODE  SETTING
fw    sysctl net.ipv4.conf.lan-2.rp_filter=1
fw    sysctl net.ipv6.icmp.ratemask="\n"
fw    nft, 2 lines
fw    iptables, 2 lines
fw    ip6tables, 1 line
`

func TestPlanAsATable(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := network.Wire("branch/lan", "10.0.2.0/24").MTU(1400)
	raw := network.Switch("raw")
	network.Router("fw", lan, dmz).Nft("table inet t {\n}\n").Iptables("*filter\nCOMMIT\n").Ip6tables("x").
		Sysctl("net.ipv4.conf.lan-2.rp_filter", "1").Sysctl("net.ipv6.icmp.ratemask", "\n")
	network.Host("client", lan.At("10.0.1.9").MAC("02:00:00:00:00:01"), raw).Route(
		topo.Route{To: "10.0.0.0/8", Type: topo.Blackhole},
		topo.Route{To: "10.7.0.0/16", Dev: lan, Table: 100, Metric: 7},
		topo.Route{To: "::/0", Type: topo.Prohibit, Table: 9},
		topo.Route{Via: "10.0.1.1"})
	network.Host("server", dmz.At("10.0.2.80").MTU(9000).MAC("02:00:00:00:00:02")).Loopback("192.0.2.1/32")
	network.Host("idle")
	if got := "\n" + mustPlan(t, network).String(); got != officeTable {
		t.Errorf("got:%s\nwant:%s", got, officeTable)
	}
	if network.String() != mustPlan(t, network).String() {
		t.Error("the network prints another plan")
	}
}

func TestPlanAsATableWithNotes(t *testing.T) {
	t.Parallel()
	network := topo.New("twins")
	a, b := network.Wire("a", "10.0.0.0/24"), network.Wire("b", "10.0.0.0/24")
	network.Host("left", a.MAC("02:00:00:00:00:01"))
	network.Host("right", b.MAC("02:00:00:00:00:02"))
	network.Router("gw", a.MAC("02:00:00:00:00:03"), b.MAC("02:00:00:00:00:04"))
	want := `
network twins

SEGMENT  KIND  MTU   PREFIXES     NODES
a        wire  1500  10.0.0.0/24  left, gw
b        wire  1500  10.0.0.0/24  right, gw

NODE   KIND    PORT  MTU   MAC                ADDRESSES
left   host    a     1500  02:00:00:00:00:01  10.0.0.1/24
right  host    b     1500  02:00:00:00:00:02  10.0.0.1/24
gw     router  a     1500  02:00:00:00:00:03  10.0.0.2/24
gw     router  b     1500  02:00:00:00:00:04  10.0.0.2/24

note: node left: no automatic route to 10.0.0.0/24 of segment b: its own 10.0.0.0/24 of segment a overlaps
note: node right: no automatic route to 10.0.0.0/24 of segment a: its own 10.0.0.0/24 of segment b overlaps
note: node gw: its own 10.0.0.0/24 of segment a, 10.0.0.0/24 of segment b overlap
`
	if got := "\n" + network.String(); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}

func TestARouterThatDoesNotForwardIsNoHost(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	network.Router("fw", network.Switch("lan", "10.0.1.0/24")).NoForward()
	network.Host("client")
	table := network.String()
	for _, want := range []string{"\nfw      router (does not forward)  lan ", "\nclient  host                       lo "} {
		if !strings.Contains(table, want) {
			t.Errorf("%q is not in:\n%s", want, table)
		}
	}
}

func TestSmallTables(t *testing.T) {
	t.Parallel()
	if got, want := topo.New("empty").String(), "network empty\n"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	network := topo.New("unused")
	network.Switch("lan")
	if got, want := network.String(), "network unused\n\nSEGMENT  KIND    MTU   PREFIXES  NODES\nlan      switch  1500  -         -\n"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

func TestATableListsTenNodesOfMany(t *testing.T) {
	t.Parallel()
	network := topo.New("many")
	lan := network.Switch("lan", "10.0.0.0/24")
	for i := range 13 {
		network.Host(fmt.Sprintf("h%d", i), lan)
	}
	if want := "h0, h1, h2, h3, h4, h5, h6, h7, h8, h9 and 3 more\n"; !strings.Contains(network.String(), want) {
		t.Errorf("%q is not in:\n%s", want, network)
	}
}
