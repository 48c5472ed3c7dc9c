package harness_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// branch is a client and a server behind a router.
func branch() (network *topo.Network, lan, dmz *topo.Segment) {
	network = topo.New("branch")
	lan, dmz = network.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), network.Wire("dmz", "10.0.2.0/24", "fd00:2::/64")
	network.Host("client", lan)
	network.Host("printer", lan)
	network.Host("server", dmz)
	network.Router("fw", lan, dmz)
	return network, lan, dmz
}

// same has a twin of the lab be the same.
func same(t *testing.T, lab *harness.Lab) {
	t.Helper()
	twin, err := lab.Twin()
	if err != nil {
		t.Fatal(err)
	}
	twin.Down()
}

// soon is far less than the second after which a kernel asks again.
const soon = 900 * time.Millisecond

// An address that is added answers at once, also one that was asked for in vain before.
func TestAddAddr(t *testing.T) {
	t.Parallel()
	network, _, _ := branch()
	lab := harness.Up(t, network)
	client, server, printer := lab.Node("client"), lab.Node("server"), lab.Node("printer")
	echo(t, server, 80)
	echo(t, printer, 80)
	for _, c := range []struct {
		node *harness.Node
		on   string
		addr string
	}{
		{server, "dmz", "10.0.2.77/24"}, {server, "dmz", "fd00:2::77/64"},
		{printer, "lan", "10.0.1.77/24"}, {printer, "lan", "fd00:1::77/64"}, {printer, "lo", "192.0.2.1/32"},
	} {
		addr := netip.MustParsePrefix(c.addr)
		if err := connects(t, client, addr.Addr(), 50*time.Millisecond); err == nil {
			t.Fatal(addr, "answers before it is there")
		}
		if err := c.node.AddAddr(c.on, addr); err != nil {
			t.Fatal(err)
		}
		from := client
		if c.on == "lo" {
			from = printer
		}
		if err := connects(t, from, addr.Addr(), soon); err != nil {
			t.Errorf("%s does not answer: %v", addr, err)
		}
		if owners := lab.Plan().Owners(addr.Addr()); !slices.Equal(owners, []string{c.node.Name()}) {
			t.Errorf("%s is %v's", addr, owners)
		}
		if !slices.Contains(c.node.Addrs(), addr.Addr()) {
			t.Errorf("%s has %v", c.node, c.node.Addrs())
		}
	}
	same(t, lab)
	for _, gone := range []string{"10.0.2.77/24", "fd00:2::77/64"} {
		addr := netip.MustParsePrefix(gone)
		if err := server.DelAddr("dmz", addr); err != nil {
			t.Fatal(err)
		}
		if err := connects(t, client, addr.Addr(), 50*time.Millisecond); err == nil || len(lab.Plan().Owners(addr.Addr())) > 0 {
			t.Error(addr, "is still there:", lab.Plan().Owners(addr.Addr()))
		}
	}
	same(t, lab)
}

// The first address of a subnet goes alone, and a port that was down has by itself what it
// was given.
func TestDelAddrLeavesTheOthers(t *testing.T) {
	t.Parallel()
	network, _, _ := branch()
	lab := harness.Up(t, network)
	client, server := lab.Node("client"), lab.Node("server")
	echo(t, server, 80)
	steps := []func() error{
		func() error { return server.AddAddr("dmz", netip.MustParsePrefix("10.0.2.9/24")) },
		func() error { return server.AddAddr("dmz", netip.MustParsePrefix("fd00:2::9/64")) },
		func() error { return server.DelAddr("dmz", netip.MustParsePrefix("10.0.2.1/24")) },
		server.Port("dmz").Down, server.Port("dmz").Up,
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatal(i, err)
		}
		if i == 2 {
			if err := connects(t, client, netip.MustParseAddr("10.0.2.9"), soon); err != nil {
				t.Error(err)
			}
		}
	}
	if err := connects(t, lab.Node("fw"), netip.MustParseAddr("fd00:2::9"), soon); err != nil {
		t.Error(err)
	}
	same(t, lab)
}

// Routes and rules are planned as those of a declaration.
func TestAddRouteAndRule(t *testing.T) {
	t.Parallel()
	network, lan, dmz := branch()
	lab := harness.Up(t, network)
	client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
	echo(t, server, 80)
	service := netip.MustParsePrefix("192.0.2.80/32")
	if err := server.AddAddr("lo", service); err != nil {
		t.Fatal(err)
	}
	reaches := func(want bool, after string) {
		t.Helper()
		if err := connects(t, client, service.Addr(), map[bool]time.Duration{true: soon, false: 100 * time.Millisecond}[want]); (err == nil) != want {
			t.Errorf("after %s: %v", after, err)
		}
	}
	reaches(false, "nothing")
	for _, step := range []struct {
		what string
		do   func() error
		want bool
	}{
		{"a route", func() error { return fw.AddRoute(topo.Route{To: "192.0.2.80/32", Via: "10.0.2.1"}) }, true},
		{"its end", func() error { return fw.DelRoute(service) }, false},
		{"a table", func() error { return fw.AddRoute(topo.Route{To: "192.0.2.80/32", Via: "10.0.2.1", Dev: dmz, Table: 7}) }, false},
		{"a rule", func() error { return fw.AddRule(topo.Rule{In: lan, Table: 7}) }, true},
		{"another", func() error { return fw.AddRule(topo.Rule{Priority: 9, To: "192.0.2.0/24", Type: topo.Prohibit}) }, false},
		{"that one's end", func() error { return fw.DelRule(topo.Rule{To: "192.0.2.0/24", Type: topo.Prohibit}) }, true},
		{"the table's end", func() error { return fw.DelRoute(service, 7) }, false},
		{"a route again", func() error { return fw.AddRoute(topo.Route{To: "192.0.2.80/32", Via: "10.0.2.1"}) }, true},
	} {
		if err := step.do(); err != nil {
			t.Fatal(step.what, err)
		}
		reaches(step.want, step.what)
	}
	same(t, lab)
	if taken := fw.Changes().Routes; len(taken) > 0 {
		t.Errorf("the route is there, and was said to be taken away: %v", taken)
	}
}

// An entry that is given stays, and one that is taken away is asked for again.
func TestAddNeighbour(t *testing.T) {
	t.Parallel()
	network, _, _ := branch()
	lab := harness.Up(t, network)
	client, printer := lab.Node("client"), lab.Node("printer")
	echo(t, printer, 80)
	for _, addr := range printer.Addrs() {
		wrong, _ := net.ParseMAC("02:00:00:00:00:99")
		if err := client.AddNeighbour("lan", addr, wrong); err != nil {
			t.Fatal(err)
		}
		if err := connects(t, client, addr, 50*time.Millisecond); err == nil {
			t.Error(addr, "answers at another's MAC")
		}
		if err := printer.Port("lan").Down(); err != nil { // after which others' entries are forgotten
			t.Fatal(err)
		}
		if err := printer.Port("lan").Up(); err != nil {
			t.Fatal(err)
		}
		if err := connects(t, client, addr, 50*time.Millisecond); err == nil {
			t.Error(addr, "answers at another's MAC after all")
		}
		same(t, lab)
		if err := client.DelNeighbour("lan", addr); err != nil {
			t.Fatal(err)
		}
		if err := connects(t, client, addr, soon); err != nil {
			t.Error(addr, err)
		}
	}
	same(t, lab)
}

// What is wrong is said, and nothing is changed.
func TestMistakesOfEdits(t *testing.T) {
	t.Parallel()
	network, _, _ := branch()
	lab := harness.Up(t, network)
	fw := lab.Node("fw")
	plan := lab.Plan()
	flat := topo.New("flat")
	flat.Host("a", flat.Switch("lan", "10.0.0.0/24"))
	for want, err := range map[string]error{
		"node fw: add address 10.0.2.2/24: port dmz: file exists":                             fw.AddAddr("dmz", netip.MustParsePrefix("10.0.2.2/24")),
		"wan is no segment that the node is on, and no interface of it; it has: lan, dmz, lo": fw.AddAddr("wan", netip.MustParsePrefix("10.0.9.2/24")),
		"no interface can have it":        fw.AddAddr("lan", netip.MustParsePrefix("224.0.0.1/24")),
		"it is none":                      fw.AddAddr("lan", netip.Prefix{}),
		"cannot assign requested address": fw.DelAddr("lan", netip.MustParsePrefix("10.0.2.2/24")),
		"the lab was built without IPv6":  harness.Up(t, flat).Node("a").AddAddr("lan", netip.MustParsePrefix("fd00::9/64")),
		"node fw: route to 10.9.0.0/16: gateway 10.0.7.1 is on none of the node's segments": fw.AddRoute(topo.Route{To: "10.9.0.0/16", Via: "10.0.7.1"}),
		"delete route to 10.9.0.0/16: there is none":                                        fw.DelRoute(netip.MustParsePrefix("10.9.0.0/16")),
		"neither a table nor a type":                                                        fw.AddRule(topo.Rule{From: "10.0.1.1"}),
		"there is no 10000: from 10.0.1.1 lookup 7":                                         fw.DelRule(topo.Rule{From: "10.0.1.1", Table: 7}),
		"give six bytes":                 fw.AddNeighbour("lan", netip.MustParseAddr("10.0.1.9"), nil),
		"the loopback has no neighbours": fw.AddNeighbour("lo", netip.MustParseAddr("10.0.1.9"), make(net.HardwareAddr, 6)),
		"no such file or directory":      fw.DelNeighbour("lan", netip.MustParseAddr("10.0.1.9")),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	if lab.Plan() != plan {
		t.Error("the plan was changed")
	}
	same(t, lab)
}
