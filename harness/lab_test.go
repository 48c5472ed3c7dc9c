package harness_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// pair is the smallest network: two hosts and a wire.
func pair() *topo.Network {
	network := topo.New("pair")
	wire := network.Wire("wire", "10.0.0.0/24", "fd00::/64")
	network.Host("alice", wire)
	network.Host("bob", wire)
	return network
}

// office has two segments and a router between them.
func office() *topo.Network {
	network := topo.New("office")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := network.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	network.Host("client", lan)
	network.Host("server", dmz)
	network.Router("fw", lan, dmz)
	return network
}

// echo serves a TCP port of a node until the test ends: it sends the node's name.
func echo(t testing.TB, node *harness.Node, port uint16) {
	t.Helper()
	listener, err := node.Listen(t.Context(), "tcp", netip.AddrPortFrom(netip.Addr{}, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, node.Name())
			_ = conn.Close()
		}
	}()
}

// ask connects and returns what the other end says.
func ask(t testing.TB, from *harness.Node, to netip.Addr, port uint16) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", netip.AddrPortFrom(to, port))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	said, err := io.ReadAll(conn)
	return string(said), err
}

func TestUpRoutesBetweenSegments(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office())
	client, server := lab.Node("client"), lab.Node("server")
	echo(t, server, 80)
	for _, addr := range server.Addrs() {
		said, err := ask(t, client, addr, 80)
		if err != nil || said != "server" {
			t.Errorf("%s said %q, %v", addr, said, err)
		}
	}
}

func TestUpLeavesRoutingOffWhereTold(t *testing.T) {
	t.Parallel()
	network := topo.New("closed")
	a, b := network.Wire("a", "10.0.1.0/24"), network.Wire("b", "10.0.2.0/24")
	network.Host("client", a)
	network.Host("server", b)
	network.Router("fw", a, b).NoForward()
	lab := harness.Up(t, network)
	echo(t, lab.Node("server"), 80)
	echo(t, lab.Node("fw"), 80)
	if said, err := ask(t, lab.Node("client"), lab.Node("fw").Addr(), 80); err != nil || said != "fw" {
		t.Fatalf("the control does not work: %q, %v", said, err)
	}
	if _, err := ask(t, lab.Node("client"), lab.Node("server").Addr(), 80); err == nil {
		t.Error("a router that does not forward forwarded")
	}
}

func TestOverlappingAddressesSideBySide(t *testing.T) {
	t.Parallel()
	network := topo.New("tenants")
	for _, tenant := range []string{"a", "b", "c"} {
		wire := network.Wire(tenant+"/lan", "10.0.0.0/24")
		network.Host(tenant+"/client", wire.MAC("02:00:00:00:00:01"))
		network.Host(tenant+"/server", wire.MAC("02:00:00:00:00:02"))
	}
	lab := harness.Up(t, network)
	for _, tenant := range []string{"a", "b", "c"} {
		echo(t, lab.Node(tenant+"/server"), 80)
	}
	for _, tenant := range []string{"a", "b", "c"} {
		said, err := ask(t, lab.Node(tenant+"/client"), netip.MustParseAddr("10.0.0.2"), 80)
		if err != nil || said != tenant+"/server" {
			t.Errorf("tenant %s was answered by %q, %v", tenant, said, err)
		}
	}
}

func TestRoutesOfEveryType(t *testing.T) {
	t.Parallel()
	network := topo.New("routes")
	wire := network.Wire("wire", "10.0.0.0/24", "fd00::/64")
	network.Host("a", wire).Loopback("192.0.2.1/32").Route(
		topo.Route{To: "198.51.100.0/24", Type: topo.Blackhole},
		topo.Route{To: "203.0.113.0/25", Type: topo.Unreachable},
		topo.Route{To: "203.0.113.128/25", Type: topo.Prohibit},
		topo.Route{To: "198.18.0.0/15", Dev: wire},
		topo.Route{To: "default", Via: "10.0.0.2"},
		topo.Route{To: "default", Via: "fd00::2"},
		topo.Route{To: "10.9.0.0/16", Via: "10.0.0.2", Table: 100, Metric: 7},
	)
	network.Host("b", wire)
	lab := harness.Up(t, network)
	for addr, want := range map[string]error{
		"198.51.100.1": unix.EINVAL, "203.0.113.1": unix.EHOSTUNREACH, "203.0.113.129": unix.EACCES,
	} {
		_, err := ask(t, lab.Node("a"), netip.MustParseAddr(addr), 80)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, not %v", addr, err, want)
		}
	}
	out, err := lab.Node("a").Command("cat", "/proc/net/route").Output()
	if err != nil || strings.Count(string(out), "wire") < 3 {
		t.Errorf("routes: %s, %v", out, err)
	}
	routes, err := lab.Node("a").Netlink().RouteListFiltered(unix.AF_INET, &netlink.Route{Table: 100}, netlink.RT_FILTER_TABLE)
	if err != nil || len(routes) != 1 || routes[0].Priority != 7 {
		t.Errorf("table 100: %v, %v", routes, err)
	}
}

func TestUpReportsEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	network := topo.New("broken")
	lan := network.Switch("lan", "10.0.0.0/33")
	network.Host("bob", lan)
	network.Host("bob", lan.MAC("nonsense"))
	r := record(t, func(tb harness.TB) { harness.Up(tb, network) })
	for _, want := range []string{"up: ", "10.0.0.0/33", "bob", "nonsense"} {
		if !strings.Contains(r.fatal, want) {
			t.Errorf("%q is not in: %s", want, r.fatal)
		}
	}
}

func TestUpTakesAHalfBuiltLabDown(t *testing.T) {
	t.Parallel()
	network := pair()
	network.Host("carol", network.Switch("lan", "10.0.9.0/24")).Route(
		topo.Route{To: "10.7.0.0/16", Via: "10.0.9.77"}, topo.Route{To: "10.7.0.0/16", Via: "10.0.9.78"})
	r := record(t, func(tb harness.TB) { harness.Up(tb, network) })
	if want := "up: host carol: add route 10.7.0.0/16 via 10.0.9.78 dev lan: file exists"; !strings.Contains(r.fatal, want) {
		t.Errorf("%q is not in: %s", want, r.fatal)
	}
}

func TestNodeWithAWrongNameListsTheRightOnes(t *testing.T) {
	t.Parallel()
	r := record(t, func(tb harness.TB) { harness.Up(tb, pair()).Node("eve") })
	if want := `lab pair has no node "eve"; it has: alice, bob`; r.fatal != want {
		t.Errorf("got %q, want %q", r.fatal, want)
	}
	r = record(t, func(tb harness.TB) { harness.Up(tb, pair()).Node("bob").Port("lan") })
	if want := `node bob is not on segment "lan"; it is on: wire`; r.fatal != want {
		t.Errorf("got %q, want %q", r.fatal, want)
	}
}

func TestDownEndsTheNamespaces(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, pair())
	alice := lab.Node("alice")
	path := alice.Path()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	ran := 0
	alice.Lab().OnDown(func() { ran++ })
	lab.Down()
	lab.Down()
	if ran != 1 {
		t.Errorf("OnDown ran %d times", ran)
	}
	if err := alice.Do(func() error { return nil }); err == nil || !strings.Contains(err.Error(), "the lab is down") {
		t.Errorf("Do in a lab that is down: %v", err)
	}
	if _, err := alice.Listen(t.Context(), "tcp", netip.AddrPort{}); err == nil {
		t.Error("Listen in a lab that is down")
	}
	if err := alice.Command("true").Run(); err == nil {
		t.Error("a command in a lab that is down")
	}
}

func TestSysctls(t *testing.T) {
	t.Parallel()
	network := topo.New("sysctls")
	wire := network.Wire("wire", "10.0.0.0/24")
	network.Host("a", wire).Sysctl("net.ipv4.tcp_syncookies", "0").Sysctl("net.ipv4.conf.wire.rp_filter", "2")
	network.Host("b", wire)
	a := harness.Up(t, network).Node("a")
	for key, want := range map[string]string{
		"net.ipv4.tcp_syncookies": "0", "net.ipv4.conf.wire.rp_filter": "2",
		"net.ipv4.icmp_ratemask": "0", "net.ipv4.conf.all.rp_filter": "0", "net.ipv4.ip_forward": "0",
	} {
		if got, err := a.Sysctl(key); got != want || err != nil {
			t.Errorf("%s is %q, %v; want %q", key, got, err, want)
		}
	}
	if err := a.SetSysctl("net.ipv4.ip_default_ttl", "9"); err != nil {
		t.Fatal(err)
	}
	if got, _ := a.Sysctl("net/ipv4/ip_default_ttl"); got != "9" {
		t.Errorf("ttl is %q", got)
	}
	for _, key := range []string{"kernel.hostname", "net.ipv4.nonsense", "net/../kernel/hostname"} {
		if err := a.SetSysctl(key, "x"); err == nil || !strings.Contains(err.Error(), "node a: ") {
			t.Errorf("%s: %v", key, err)
		}
	}
}
