package verdict_test

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// confirmed is a network in which a cause is so, and what is sent through it: a
// datagram to the server, or what send sends.
type confirmed struct {
	at     string // the node whose kernel counts
	v6     bool
	plan   func(client, server, fw *topo.Node)
	change func(t *testing.T, lab *harness.Lab)
	send   func(t *testing.T, lab *harness.Lab, to netip.AddrPort)
}

// The networks, by kind: each cause whose row has counters is shown by one of them.
var confirmations = map[evidence.Kind][]confirmed{
	evidence.NoForward: {
		{at: "fw", plan: func(_, _, fw *topo.Node) { fw.NoForward() }},
		{at: "fw", v6: true, plan: func(_, _, fw *topo.Node) { fw.NoForward() }},
	},
	evidence.NotRouter: {{at: "fw", change: func(t *testing.T, lab *harness.Lab) {
		must(t, lab.Node("fw").SetSysctl("net.ipv4.ip_forward", "0"))
	}}},
	evidence.NoRoute: {
		{at: "fw", change: func(t *testing.T, lab *harness.Lab) {
			must(t, lab.Node("fw").DelRoute(netip.MustParsePrefix("10.0.2.0/24")))
		}},
		{at: "fw", v6: true, change: func(t *testing.T, lab *harness.Lab) {
			must(t, lab.Node("fw").DelRoute(netip.MustParsePrefix("fd00:2::/64")))
		}},
		{at: "client", plan: func(client, _, _ *topo.Node) { client.NoRoutes() }},
		{at: "client", v6: true, plan: func(client, _, _ *topo.Node) { client.NoRoutes() }},
	},
	evidence.XFRM: {
		{at: "fw", change: blocked("fw", netlink.XFRM_DIR_FWD)},
		{at: "fw", v6: true, change: blocked("fw", netlink.XFRM_DIR_OUT)},
	},
	evidence.Unreachable: {
		{at: "fw", plan: func(_, _, fw *topo.Node) { fw.Route(topo.Route{To: "10.0.2.1/32", Type: topo.Unreachable}) }},
		{at: "fw", v6: true, plan: func(_, _, fw *topo.Node) { fw.Route(topo.Route{To: "fd00:2::1/128", Type: topo.Unreachable}) }},
	},
	evidence.Prohibit: {
		{at: "fw", plan: func(_, _, fw *topo.Node) { fw.Route(topo.Route{To: "10.0.2.1/32", Type: topo.Prohibit}) }},
		{at: "fw", v6: true, plan: func(_, _, fw *topo.Node) { fw.Route(topo.Route{To: "fd00:2::1/128", Type: topo.Prohibit}) }},
	},
	evidence.TTL: {
		{at: "fw", send: withOption(unix.IPPROTO_IP, unix.IP_TTL, 1, 8)},
		{at: "fw", v6: true, send: withOption(unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 1, 8)},
	},
	evidence.MTU: {
		{at: "fw", change: narrow, send: withOption(unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO, 1400)},
		{at: "fw", v6: true, change: narrow, send: withOption(unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO, 1400)},
	},
	evidence.RPFilter: {{at: "fw", change: func(t *testing.T, lab *harness.Lab) {
		must(t, lab.Node("fw").SetSysctl("net.ipv4.conf.lan.rp_filter", "1"))
		addAddr(t, lab.Node("client"), "192.0.2.7/32")
	}, send: from("192.0.2.7")}},
	evidence.NoListener: {{at: "server"}, {at: "server", v6: true}},
	evidence.NoAnswer:   {{at: "server", change: mute}, {at: "server", v6: true, change: mute}},
	evidence.Backlog: {{at: "server", change: func(t *testing.T, lab *harness.Lab) {
		must(t, lab.Node("server").Do(func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = unix.Close(fd) })
			if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 53}); err != nil {
				return err
			}
			return unix.Listen(fd, 0)
		}))
		conn, err := lab.Node("client").Dial(t.Context(), "tcp", netip.MustParseAddrPort("10.0.2.1:53"))
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
	}, send: func(t *testing.T, lab *harness.Lab, to netip.AddrPort) {
		must(t, lab.Node("client").Do(func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = unix.Close(fd) })
			if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}); err != unix.EINPROGRESS {
				return err
			}
			return nil
		}))
	}}},
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mute reads what it is sent, and says nothing.
func mute(t *testing.T, lab *harness.Lab) {
	conn, err := lab.Node("server").ListenPacket(t.Context(), "udp", netip.MustParseAddrPort("[::]:53"))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 64)
		for {
			if _, _, err := conn.ReadFrom(buf); err != nil {
				return
			}
		}
	}()
}

// narrow is a link behind the router that takes less than the one before.
func narrow(t *testing.T, lab *harness.Lab) {
	h := lab.Node("fw").Netlink()
	dmz, err := h.LinkByName("dmz")
	must(t, err)
	must(t, h.LinkSetMTU(dmz, 1300))
}

func addAddr(t *testing.T, node *harness.Node, text string) {
	addr, err := netlink.ParseAddr(text)
	must(t, err)
	lo, err := node.Netlink().LinkByName("lo")
	must(t, err)
	must(t, node.Netlink().AddrAdd(lo, addr))
}

// withOption sends a datagram of a size from a socket with an option.
func withOption(level, option, value, size int) func(*testing.T, *harness.Lab, netip.AddrPort) {
	return func(t *testing.T, lab *harness.Lab, to netip.AddrPort) {
		transmit(t, lab, to, size, func(fd int) error { return unix.SetsockoptInt(fd, level, option, value) })
	}
}

// from sends a datagram from an address, when the router's MAC is known: it would not
// be told to such an address.
func from(text string) func(*testing.T, *harness.Lab, netip.AddrPort) {
	return func(t *testing.T, lab *harness.Lab, to netip.AddrPort) {
		plainly(t, lab, netip.MustParseAddrPort("10.0.1.2:9"))
		transmit(t, lab, to, 8, func(fd int) error {
			return unix.Bind(fd, &unix.SockaddrInet4{Addr: netip.MustParseAddr(text).As4()})
		})
	}
}

// transmit sends a datagram from the client. That its own kernel does not send it is
// what some are about.
func transmit(t *testing.T, lab *harness.Lab, to netip.AddrPort, size int, set func(fd int) error) {
	t.Helper()
	var addr unix.Sockaddr = &unix.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())}
	family := unix.AF_INET6
	if to.Addr().Is4() {
		addr, family = &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}, unix.AF_INET
	}
	must(t, lab.Node("client").Do(func() error {
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := set(fd); err != nil {
			return err
		}
		_ = unix.Sendto(fd, make([]byte, size), 0, addr)
		return nil
	}))
}

func plainly(t *testing.T, lab *harness.Lab, to netip.AddrPort) {
	transmit(t, lab, to, 8, func(int) error { return nil })
}

// counters are those of a node that confirm a kind.
func counters(t *testing.T, node *harness.Node, kind evidence.Kind) (sum uint64) {
	t.Helper()
	must(t, node.Do(func() error {
		kernel, err := inspect.OpenKernelCounters()
		if err != nil {
			return err
		}
		defer kernel.Close()
		all, err := kernel.Read()
		for _, name := range verdict.Confirming(kind) {
			if _, has := all[name]; !has {
				t.Errorf("%s: there is no counter %s", kind, name)
			}
			sum += all[name]
		}
		return err
	}))
	return sum
}

// What a row says confirms its cause does move in the kernel when the cause is so; and
// the first packet through a sound network moves none of it.
func TestCountersConfirm(t *testing.T) {
	t.Parallel()
	for _, kind := range verdict.Counted() {
		cases := confirmations[kind]
		if len(cases) == 0 {
			t.Errorf("%s says that counters confirm it, and no network here shows it", kind)
		}
		for _, c := range cases {
			sound := c
			sound.plan, sound.change, sound.send = nil, nil, nil
			if moved := sound.moves(t, kind, true); moved != 0 {
				t.Errorf("%s (v6 %v): a sound network moves it by %d", kind, c.v6, moved)
			}
			if moved := c.moves(t, kind, false); moved == 0 {
				t.Errorf("%s (v6 %v) at %s: none of %v moved", kind, c.v6, c.at, verdict.Confirming(kind))
			}
		}
	}
}

// moves is by how much the counters move while a packet is sent.
func (c confirmed) moves(t *testing.T, kind evidence.Kind, served bool) uint64 {
	t.Helper()
	office := topo.New("office")
	lan, dmz := office.Switch("lan", "10.0.1.0/24", "fd00:1::/64"), office.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	client, server := office.Host("client", lan), office.Host("server", dmz)
	fw := office.Router("fw", lan, dmz)
	if c.plan != nil {
		c.plan(client, server, fw)
	}
	lab := harness.Up(t, office)
	if served {
		conn, err := lab.Node("server").ListenPacket(t.Context(), "udp", netip.MustParseAddrPort("[::]:53"))
		must(t, err)
		defer conn.Close()
	}
	if c.change != nil {
		c.change(t, lab)
	}
	to := netip.MustParseAddrPort("10.0.2.1:53")
	if c.v6 {
		to = netip.MustParseAddrPort("[fd00:2::1]:53")
	}
	send := c.send
	if send == nil {
		send = plainly
	}
	before := counters(t, lab.Node(c.at), kind)
	send(t, lab, to)
	deadline := time.Now().Add(2 * time.Second)
	if served { // nothing is to move: what was sent has arrived when send is back
		deadline = time.Now()
	}
	for {
		if moved := counters(t, lab.Node(c.at), kind) - before; moved > 0 || !time.Now().Before(deadline) {
			return moved
		}
	}
}

func TestCountedKinds(t *testing.T) {
	t.Parallel()
	if kinds := verdict.Counted(); !slices.Contains(kinds, evidence.NoForward) || slices.Contains(kinds, evidence.Drop) {
		t.Error(kinds)
	}
}

// blocked has policies of xfrm block everything of a direction at a node.
func blocked(at string, dir netlink.Dir) func(t *testing.T, lab *harness.Lab) {
	return func(t *testing.T, lab *harness.Lab) {
		for _, all := range []string{"0.0.0.0/0", "::/0"} {
			_, prefix, err := net.ParseCIDR(all)
			must(t, err)
			must(t, lab.Node(at).Netlink().XfrmPolicyAdd(&netlink.XfrmPolicy{Src: prefix, Dst: prefix, Dir: dir, Action: netlink.XFRM_POLICY_BLOCK}))
		}
	}
}
