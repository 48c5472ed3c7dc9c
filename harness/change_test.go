package harness_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// changes are what a network may come to while it is up, each upon those before; and what
// of it is not as it was.
var changes = []struct {
	what   string
	change func(n *topo.Network)
	but    []string
	talk   [2]string // who is reached then, from whom
}{
	{"a host on a switch", func(n *topo.Network) { n.Host("late", n.Segment("lan")) }, nil, [2]string{"server", "late"}},
	{"a router and what is behind it", func(n *topo.Network) {
		lab := n.Switch("lab", "10.0.7.0/24", "fd00:7::/64")
		n.Router("gw", n.Segment("lan"), lab)
		n.Host("bench", lab)
	}, nil, [2]string{"bench", "server"}},
	{"a further port of a router, and a wire", func(n *topo.Network) {
		wan := n.Wire("wan", "10.0.8.0/24", "fd00:8::/64")
		n.Node("fw").Attach(wan)
		n.Host("site", wan)
	}, nil, [2]string{"site", "client"}},
	{"addresses, routes and rules", func(n *topo.Network) {
		n.Node("site").Loopback("192.0.2.9/32")
		n.Node("fw").Route(topo.Route{To: "198.51.100.0/24", Via: "10.0.8.2"}).Rule(topo.Rule{From: "198.51.100.1", Table: 254})
	}, []string{"site/lo"}, [2]string{"client", "site"}},
	{"a host less, and its address for another", func(n *topo.Network) {
		n.Remove(n.Node("printer"))
		n.Host("scanner", n.Segment("lan").At("10.0.1.2"))
	}, []string{"printer", "printer/lan", "printer/lo"}, [2]string{"client", "scanner"}},
	{"a wire less", func(n *topo.Network) {
		n.Node("fw").NoRoute("198.51.100.0/24")
		n.Remove(n.Node("site"), n.Segment("wan"))
	},
		[]string{"site", "site/wan", "site/lo", "fw/wan"}, [2]string{"late", "scanner"}},
	{"a node on a segment more, and off another", func(n *topo.Network) {
		n.Node("bench").Attach(n.Segment("lan")).Detach(n.Segment("lab"))
	}, []string{"bench/lab"}, [2]string{"bench", "server"}},
}

// Each change is there at once, and all that was before it is as it was: namespaces,
// interfaces, addresses, connections, processes; a twin is the same.
func TestChange(t *testing.T) {
	t.Parallel()
	network, _, _ := branch()
	lab := harness.Up(t, network)
	talk := talks(t, lab.Node("client"), lab.Node("server"))
	repeats := repeater(t, lab.Node("fw"))
	for _, c := range changes {
		before := standing(t, lab, c.but...)
		if err := lab.Change(c.change); err != nil {
			t.Fatal(c.what, err)
		}
		from, to := lab.Node(c.talk[0]), lab.Node(c.talk[1])
		arrives(t, from, to, to.Addrs()...)
		stands(t, before, standing(t, lab))
		talk.goesOn(t)
		if t.Failed() {
			t.Fatal("after ", c.what)
		}
		same(t, lab)
	}
	repeats()
	// Who runs commands knows the others by their names, and their namespaces.
	known, err := lab.Node("fw").Command("sh", "-c", "cat /etc/hosts; ls /run/netns").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name, is := range map[string]bool{"10.0.1.2 scanner\n": true, "10.0.1.2 printer\n": false, "\nbench\n": true, "\nsite\n": false} {
		if strings.Contains(string(known), name) != is {
			t.Errorf("%q is there: %v\n%s", name, !is, known)
		}
	}
	for _, gone := range []string{"printer", "site"} {
		if _, has := lab.Plan().Node(gone); has {
			t.Error("there is still", gone)
		}
	}
}

// An invalid change changes nothing, and says what is wrong.
func TestChangeThatIsNone(t *testing.T) {
	t.Parallel()
	network, lan, _ := branch()
	lab := harness.Up(t, network)
	flat := topo.New("flat")
	flat.Host("a", flat.Switch("lan", "10.0.0.0/24"))
	plan, before := lab.Plan(), standing(t, lab)
	for want, change := range map[string]func(n *topo.Network){
		"there is no node nobody; it has: client, printer, server, fw":                       func(n *topo.Network) { n.Node("nobody").Loopback("192.0.2.1/32") },
		"there is no segment wan; it has: lan, dmz":                                          func(n *topo.Network) { n.Host("late", n.Segment("wan")) },
		"address 10.0.1.2 is node printer's already":                                         func(n *topo.Network) { n.Host("late", n.Segment("lan").At("10.0.1.2")) },
		"segment dmz: a wire has two ports, this one has 1":                                  func(n *topo.Network) { n.Remove(n.Node("server")) },
		"segment dmz: one end of the wire is to stay":                                        func(n *topo.Network) { n.Remove(n.Node("server")); n.Host("late", n.Segment("dmz")) },
		"node printer: it was taken away, and is declared again":                             func(n *topo.Network) { n.Remove(n.Node("printer")); n.Host("printer", lan) },
		"node printer: interface lan is taken away, and there is to be another of that name": func(n *topo.Network) { n.Node("printer").Detach(lan).Attach(lan) },
		"node client: it has no port on segment dmz that could be taken away; it is on: lan": func(n *topo.Network) { n.Node("client").Detach(n.Segment("dmz")) },
		"the plan is what it was":                                                            func(*topo.Network) { network.Host("elsewhere", lan) },
		"segment trunk: its switch keeps VLANs apart, and so":                                func(n *topo.Network) { n.Host("late", n.Switch("trunk", "10.0.9.0/24").Access(7)) },
		"segment lan: its switch keeps VLANs apart, and so":                                  func(n *topo.Network) { n.Host("late", n.Segment("lan").Access(7)) },
		"it is not of this network":                                                          func(n *topo.Network) { n.Remove(topo.New("x").Host("h")) },
	} {
		if err := lab.Change(change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	for want, err := range map[string]error{
		"change lab flat: the lab was built without IPv6": harness.Up(t, flat).Change(func(n *topo.Network) {
			n.Host("late", n.Switch("more", "fd00::/64"))
		}),
		"change lab branch: there is no function": lab.Change(nil),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	if lab.Plan() != plan {
		t.Error("the plan was changed")
	}
	stands(t, before, standing(t, lab))
	same(t, lab)
}

// A failure half-way leaves the lab as it was.
func TestChangeThatFails(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	network, _, _ := branch()
	lab := harness.Up(t, network)
	fw := lab.Node("fw")
	talk := talks(t, lab.Node("client"), lab.Node("server"))
	if err := fw.AddAddr("lo", netip.MustParsePrefix("192.0.2.7/32")); err != nil {
		t.Fatal(err)
	}
	if err := fw.AddRoute(topo.Route{To: "198.51.100.0/24", Via: "10.0.1.1"}); err != nil {
		t.Fatal(err)
	}
	before := standing(t, lab)
	much := func(n *topo.Network) {
		more := n.Switch("more", "10.0.7.0/24", "fd00:7::/64")
		n.Router("gw", n.Segment("lan"), more)
		n.Host("bench", more)
		n.Remove(n.Node("printer"))
		n.Node("fw").Attach(more)
	}
	for want, change := range map[string]func(n *topo.Network){
		"port lo: set address 192.0.2.7/32: file exists": func(n *topo.Network) { n.Node("fw").Loopback("192.0.2.7/32") },
		"add route 198.51.100.0/24": func(n *topo.Network) {
			n.Node("fw").Route(topo.Route{To: "198.51.100.0/24", Via: "10.0.1.2"})
		},
		"router gw: load nft ruleset":        func(n *topo.Network) { n.Node("gw").Nft("nonsense") },
		"router fw: load nft ruleset":        func(n *topo.Network) { n.Node("fw").Nft("nonsense") },
		"no/such/sysctl":                     func(n *topo.Network) { n.Node("fw").Sysctl("net/no/such/sysctl", "1") },
		"host bench: set sysctl net/ipv4/no": func(n *topo.Network) { n.Node("bench").Sysctl("net/ipv4/no", "1") },
	} {
		err := lab.Change(func(n *topo.Network) { much(n); change(n) })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "undone") {
			t.Error(err)
		}
		stands(t, before, standing(t, lab))
		stands(t, standing(t, lab), before)
		talk.goesOn(t)
		arrives(t, lab.Node("client"), lab.Node("printer"), lab.Node("printer").Addrs()...)
		same(t, lab)
	}
	if err := lab.Change(much); err != nil {
		t.Error("and without the mistake: ", err)
	}
	same(t, lab)
}

// Of 200 first packets after a change none is lost.
func TestFirstPacketAfterChange(t *testing.T) {
	t.Parallel()
	network, _, _ := branch()
	lab := harness.Up(t, network)
	client := lab.Node("client")
	for i := range 50 {
		name := fmt.Sprintf("late%d", i)
		err := lab.Change(func(n *topo.Network) {
			if i > 0 {
				n.Remove(n.Node(fmt.Sprintf("late%d", i-1)))
			}
			n.Host(name, n.Segment("lan").At("10.0.1.99", "fd00:1::99"))
		})
		if err != nil {
			t.Fatal(err)
		}
		arrives(t, client, lab.Node(name), lab.Node(name).Addrs()...)
		arrives(t, lab.Node(name), lab.Node("server"), lab.Node("server").Addrs()...)
	}
}

// Who is taken away has no commands any more, and others change a lab at the same time.
func TestChangeEndsWhatIsGone(t *testing.T) {
	t.Parallel()
	network, _, _ := branch()
	lab := harness.Up(t, network)
	printer := lab.Node("printer")
	sleep := printer.CommandContext(context.Background(), "sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 9)
	for i := range 8 {
		go func() {
			errs <- lab.Change(func(n *topo.Network) { n.Host(fmt.Sprintf("at-once-%d", i), n.Segment("lan")) })
		}()
	}
	go func() { errs <- lab.Change(func(n *topo.Network) { n.Remove(n.Node("printer")) }) }()
	for range 9 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := sleep.Wait(); err == nil {
		t.Error("its command ended by itself")
	}
	if err := printer.AddAddr("lan", netip.MustParsePrefix("10.0.1.50/24")); err == nil || !strings.Contains(err.Error(), "it was taken out of the lab") {
		t.Error(err)
	}
	if len(lab.Nodes()) != 11 {
		t.Error(lab.Nodes())
	}
	same(t, lab)
}
