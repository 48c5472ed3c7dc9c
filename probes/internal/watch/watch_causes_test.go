package watch_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// broken is an office with something amiss, and what is said of probes in it.
type broken struct {
	plan  func(client, server, fw *topo.Node)
	after func(t *testing.T, lab *harness.Lab) // what is done to the lab
	addr  netip.Addr                           // the server's, unless said otherwise
	kind  evidence.Kind
	want  string

	policy bool
}

func sysctls(node string, pairs ...string) func(*testing.T, *harness.Lab) {
	return func(t *testing.T, lab *harness.Lab) {
		t.Helper()
		for i := 0; i < len(pairs); i += 2 {
			if err := lab.Node(node).SetSysctl(pairs[i], pairs[i+1]); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func routes(node string, routes ...topo.Route) func(client, server, fw *topo.Node) {
	return func(client, server, fw *topo.Node) {
		map[string]*topo.Node{"client": client, "server": server, "fw": fw}[node].Route(routes...)
	}
}

var far4, far6 = netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd00:9::1") // no segment's

// by is a route of the client by the router, to where no segment is.
var by = []topo.Route{{To: "10.9.0.0/16", Via: "10.0.1.2"}, {To: "fd00:9::/64", Via: "fd00:1::2"}}

func farRoutes(kind topo.RouteType) func(client, server, fw *topo.Node) {
	return func(client, _, fw *topo.Node) {
		client.Route(by...)
		fw.Route(topo.Route{To: "10.9.0.0/16", Type: kind}, topo.Route{To: "fd00:9::/64", Type: kind})
	}
}

var routing = map[string]broken{
	"a mistake: no route": {
		plan: func(client, _, _ *topo.Node) { client.Route(by...) }, addr: far4,
		kind: evidence.NoRoute, want: "the request was not routed at fw/lan: no route to 10.9.0.1",
	},
	"a mistake: no route of v6": {
		plan: func(client, _, _ *topo.Node) { client.Route(by...) }, addr: far6,
		kind: evidence.NoRoute, want: "the request was not routed at fw/lan: no route to fd00:9::1",
	},
	"forwarding is off": {
		plan: func(_, _, fw *topo.Node) { fw.NoForward() },
		kind: evidence.NoForward, want: "the request was not forwarded at fw/lan: net.ipv4.ip_forward=0",
	},
	"forwarding is off for v6": {
		plan: func(_, _, fw *topo.Node) { fw.NoForward() }, addr: server6,
		kind: evidence.NoForward, want: "the request was not forwarded at fw/lan: net.ipv6.conf.all.forwarding=0",
	},
	"forwarding is off at the link": {
		after: sysctls("fw", "net.ipv4.conf.lan.forwarding", "0"),
		kind:  evidence.NoForward, want: "the request was not forwarded at fw/lan: net.ipv4.conf.lan.forwarding=0",
	},
	"a blackhole": {
		plan: farRoutes(topo.Blackhole), addr: far4,
		kind: evidence.Blackhole, want: "the request was dropped at fw/lan: blackhole route 10.9.0.0/16",
	},
	"a blackhole of v6": {
		plan: farRoutes(topo.Blackhole), addr: far6,
		kind: evidence.Blackhole, want: "the request was dropped at fw/lan: blackhole route fd00:9::/64",
	},
	"an unreachable route": {
		plan: farRoutes(topo.Unreachable), addr: far4,
		kind: evidence.Unreachable, want: "the request was rejected at fw/lan: unreachable route 10.9.0.0/16",
	},
	"an unreachable route of v6": {
		plan: farRoutes(topo.Unreachable), addr: far6,
		kind: evidence.Unreachable, want: "the request was rejected at fw/lan: unreachable route fd00:9::/64",
	},
	"a prohibit route": {
		plan: farRoutes(topo.Prohibit), addr: far4,
		kind: evidence.Prohibit, want: "the request was rejected at fw/lan: prohibit route 10.9.0.0/16",
	},
	"a prohibit route of v6": {
		plan: farRoutes(topo.Prohibit), addr: far6,
		kind: evidence.Prohibit, want: "the request was rejected at fw/lan: prohibit route fd00:9::/64",
	},
	"no route at the asker, as declared": {
		addr: far4, plan: func(client, _, _ *topo.Node) { client.NoRoutes() },
		kind: evidence.NoRoute, want: "the request was not routed at client: no route to 10.9.0.1",
	},
	"a blackhole at the asker": {
		plan: routes("client", topo.Route{To: "fd00:9::/64", Type: topo.Blackhole}), addr: far6,
		kind: evidence.Blackhole, want: "the request was dropped at client: blackhole route fd00:9::/64",
	},
	"a prohibit route at the asker": {
		plan: routes("client", topo.Route{To: "10.9.0.0/16", Type: topo.Prohibit}), addr: far4,
		kind: evidence.Prohibit, want: "the request was rejected at client: prohibit route 10.9.0.0/16",
	},
	"no route back, as declared": {
		plan: func(_, server, _ *topo.Node) { server.NoRoutes() }, after: ready("server"),
		kind: evidence.NoRoute, want: "the request arrived; the answer was not routed at server: no route to 10.0.1.1",
	},
	"a blackhole on the way back": {
		plan: routes("server", topo.Route{To: "10.0.1.1/32", Type: topo.Blackhole}), after: ready("server"),
		kind: evidence.Blackhole, want: "the request arrived; the answer was dropped at server: blackhole route 10.0.1.1/32",
	},
	"a blackhole for the answer": {
		plan: routes("fw", topo.Route{To: "fd00:1::1/128", Type: topo.Blackhole}), after: ready("server"), addr: server6,
		kind: evidence.Blackhole, want: "the request arrived; the answer was dropped at fw/dmz: blackhole route fd00:1::1/128",
	},
}

// ready has a node answer at port 53.
func ready(node string) func(*testing.T, *harness.Lab) {
	return func(t *testing.T, lab *harness.Lab) { serve(t, lab.Node(node), 53) }
}

func TestWatchNamesTheRoute(t *testing.T) {
	t.Parallel()
	for name, b := range routing {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b.policy = !strings.HasPrefix(name, "a mistake: ")
			b.check(t, udp)
		})
	}
}

func (b broken) check(t *testing.T, protocol wire.Protocol) {
	t.Helper()
	if b.plan == nil {
		b.plan = func(client, server, fw *topo.Node) {}
	}
	if !b.addr.IsValid() {
		b.addr = server4
	}
	lab := harness.Up(t, officeOf(b.plan))
	if b.after != nil {
		b.after(t, lab)
	}
	port := uint16(53)
	if protocol == icmp {
		port = 0
	}
	a := ask(t, lab.Node("client"), to(protocol, b.addr, port))
	if c := a.says(b.kind, b.want); c.Policy != b.policy {
		t.Errorf("%s: policy %v", c, c.Policy)
	}
}

func down(node, port string) func(*testing.T, *harness.Lab) {
	return func(t *testing.T, lab *harness.Lab) {
		if err := lab.Node(node).Port(port).Down(); err != nil {
			t.Fatal(err)
		}
	}
}

var faults = map[string]struct {
	broken
	protocol wire.Protocol
}{
	"the asker's link is down": {broken{after: down("client", "lan"), kind: evidence.LinkDown,
		want: "the request was lost at client/lan: the link is down, and with it the route"}, tcp},
	"the router's other link is down": {broken{after: down("fw", "dmz"), kind: evidence.LinkDown,
		want: "the request was lost at fw/dmz: the link is down, and with it the route"}, udp},
	"echo requests are ignored": {broken{after: sysctls("server", "net.ipv4.icmp_echo_ignore_all", "1"), kind: evidence.Ignored,
		want: "the request was ignored at server/dmz: net.ipv4.icmp_echo_ignore_all=1"}, icmp},
	"echo requests of v6 are ignored": {broken{after: sysctls("server", "net.ipv6.icmp.echo_ignore_all", "1"), addr: server6, kind: evidence.Ignored,
		want: "the request was ignored at server/dmz: net.ipv6.icmp.echo_ignore_all=1"}, icmp},
	"nobody has the port": {broken{kind: evidence.NoListener, want: "the request was refused at server/dmz: nobody has port 53"}, udp},
	"nobody listens":      {broken{kind: evidence.NoListener, want: "the request was refused at server/dmz: nobody has port 53"}, tcp},
	"nobody listens by v6": {broken{addr: server6, kind: evidence.NoListener,
		want: "the request was refused at server/dmz: nobody has port 53"}, tcp},
	"nobody has the address": {broken{addr: netip.MustParseAddr("10.0.1.77"), kind: evidence.Neighbour,
		want: "the request was not sent on at client/lan: nobody answers for 10.0.1.77"}, tcp},
	"nobody has the address behind the router": {broken{addr: netip.MustParseAddr("fd00:2::77"), kind: evidence.Neighbour,
		want: "the request was not sent on at fw/dmz: nobody answers for fd00:2::77"}, udp},
	"the target lost its address": {broken{after: func(t *testing.T, lab *harness.Lab) {
		dropAddr(t, lab.Node("server"), server4)
	}, kind: evidence.NoAddress, want: "the request was not delivered at server/dmz: it does not have 10.0.2.1"}, udp},
	"a source that may not come in there": {broken{after: detour, kind: evidence.RPFilter,
		want: "the request was not accepted at fw/lan: rp_filter=1, and the route back to 10.0.1.1 leaves by another interface"}, udp},
	"the listener's queue is full": {broken{after: func(t *testing.T, lab *harness.Lab) { fill(t, lab, 53) }, kind: evidence.Backlog,
		want: "the request was not accepted at server/dmz: 1 connections wait for the listener at port 53, which has room for 0"}, tcp},
}

func TestWatchNamesTheFault(t *testing.T) {
	t.Parallel()
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.check(t, f.protocol)
		})
	}
}

// detour gives the router another way to the client, when they have met: or it
// would not answer the question who has its address.
func detour(t *testing.T, lab *harness.Lab) {
	t.Helper()
	serve(t, lab.Node("server"), 53)
	conn, err := lab.Node("client").Dial(t.Context(), "udp", netip.AddrPortFrom(server4, 53))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(soon)))
	_, err = conn.Write([]byte(wire.RequestWord + "who are you?"))
	must(t, err)
	_, err = conn.Read(make([]byte, 512))
	must(t, err)
	h := lab.Node("fw").Netlink()
	link, err := h.LinkByName("dmz")
	if err != nil {
		t.Fatal(err)
	}
	client := &net.IPNet{IP: net.IPv4(10, 0, 1, 1), Mask: net.CIDRMask(32, 32)}
	if err := h.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: client}); err != nil {
		t.Fatal(err)
	}
	sysctls("fw", "net.ipv4.conf.lan.rp_filter", "1")(t, lab)
}

// dropAddr takes an address away.
func dropAddr(t *testing.T, node *harness.Node, addr netip.Addr) {
	t.Helper()
	h := node.Netlink()
	link, err := h.LinkByName("dmz")
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := h.AddrList(link, unix.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if a.IP.Equal(addr.AsSlice()) {
			if err := h.AddrDel(link, &a); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// fill has the server listen with room for none, and the router take that room.
func fill(t *testing.T, lab *harness.Lab, port uint16) {
	t.Helper()
	var fd int
	err := lab.Node("server").Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		if err := unix.Bind(fd, sockaddr(server4, port)); err != nil {
			return err
		}
		return unix.Listen(fd, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := lab.Node("fw").Dial(t.Context(), "tcp", netip.AddrPortFrom(server4, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
}
