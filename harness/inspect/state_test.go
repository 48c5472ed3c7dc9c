package inspect_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func read(t *testing.T, node *harness.Node, questions ...inspect.Question) *inspect.State {
	t.Helper()
	ns := inspect.Namespace{Handle: node.Netlink(), Do: node.Do}
	state, err := ns.Read(node.Name())
	if err != nil {
		t.Fatal(err)
	}
	if state.Name != node.Name() {
		t.Errorf("the state of %s is called %s", node, state.Name)
	}
	must(t, ns.Fill(state, inspect.Want{Questions: questions, Sysctls: sysctls, Listeners: true, Datagrams: true}))
	return state
}

// sysctls are some that decide about packets.
var sysctls = []string{
	"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/lan/forwarding", "net/ipv6/conf/dmz/forwarding",
	"net/ipv4/icmp_echo_ignore_all", "net/ipv6/icmp/echo_ignore_all", "net/ipv4/conf/dmz/rp_filter", "net/no/such",
}

func named(t *testing.T, s *inspect.State, name string) inspect.Link {
	t.Helper()
	l := s.LinkNamed(name)
	if l.Index == 0 || s.Link(l.Index) != l {
		t.Fatalf("%s has no link %s", s.Name, name)
	}
	return l
}

func TestStateOfLinks(t *testing.T) {
	t.Parallel()
	lab := bridged(t)
	box, client := lab.Node("box"), lab.Node("client")
	must(t, box.Netlink().LinkSetIsolated(link(t, box, "left"), true))
	must(t, box.Netlink().LinkSetMTU(link(t, box, "left"), 1400))
	before := read(t, box)
	bridge, left := named(t, before, "br"), named(t, before, "left")
	if bridge.Kind != "bridge" || bridge.Master != 0 || !bridge.Up || !bridge.Carrier || bridge.MTU != 1400 {
		t.Errorf("the bridge: %+v", bridge)
	}
	if left.Master != bridge.Index || !left.Isolated || left.Kind != "veth" || left.MTU != 1400 || !left.Up || !left.Carrier {
		t.Errorf("an isolated port: %+v", left)
	}
	if right := named(t, before, "right"); right.Master != bridge.Index || right.Isolated || right.MTU != 1500 {
		t.Errorf("a port: %+v", right)
	}
	if lo := named(t, before, "lo"); !lo.Up || lo.Index != 1 || lo.MTU != 65536 {
		t.Errorf("lo: %+v", lo)
	}
	must(t, client.Port("left").Down())
	if left := named(t, read(t, client), "left"); left.Up || left.Carrier {
		t.Errorf("a link that is down: %+v", left)
	}
	if left := named(t, read(t, box), "left"); !left.Up || left.Carrier {
		t.Errorf("its other end: %+v", left)
	}
}

func TestStateOfAddresses(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(plain))
	server := lab.Node("server")
	for key, value := range map[string]string{"all.accept_dad": "1", "dmz.accept_dad": "1", "dmz.dad_transmits": "100"} {
		must(t, server.SetSysctl("net.ipv6.conf."+key, value))
	}
	again, err := netlink.ParseAddr("fd00:2::99/64")
	must(t, err)
	must(t, server.Netlink().AddrAdd(link(t, server, "dmz"), again))
	state := read(t, server)
	dmz := named(t, state, "dmz").Index
	for _, want := range []inspect.Addr{
		{Index: 1, Prefix: netip.MustParsePrefix("127.0.0.1/8")},
		{Index: dmz, Prefix: netip.MustParsePrefix("10.0.2.1/24")},
		{Index: dmz, Prefix: netip.MustParsePrefix("fd00:2::1/64")},
		{Index: dmz, Prefix: netip.MustParsePrefix("fd00:2::99/64"), Tentative: true},
	} {
		alike := func(a inspect.Addr) bool {
			return a.Index == want.Index && a.Prefix == want.Prefix && a.Tentative == want.Tentative && !a.Peer.IsValid()
		}
		if !slices.ContainsFunc(state.Addrs, alike) {
			t.Errorf("no %+v in %+v", want, state.Addrs)
		}
	}
}

func TestStateOfRoutes(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(func(client, server, fw *topo.Node) {
		fw.Route(
			topo.Route{To: "10.7.0.0/16", Type: topo.Blackhole}, topo.Route{To: "fd00:7::/64", Type: topo.Unreachable},
			topo.Route{To: "10.8.0.0/16", Type: topo.Prohibit, Table: 100}, topo.Route{To: "10.9.0.0/16", Via: "10.0.2.1", Metric: 7},
			topo.Route{To: "fd00:9::/64", Via: "fd00:2::1"}, topo.Route{To: "default", Via: "10.0.2.1"}, topo.Route{To: "default", Via: "fd00:2::1"})
	}))
	state := read(t, lab.Node("fw"))
	dmz := named(t, state, "dmz").Index
	for _, want := range []inspect.Route{
		{Table: 254, Type: unix.RTN_UNICAST, To: netip.MustParsePrefix("10.0.2.0/24"), Index: dmz},
		{Table: 254, Type: unix.RTN_UNICAST, To: netip.MustParsePrefix("10.9.0.0/16"), Via: server4, Index: dmz, Metric: 7},
		{Table: 254, Type: unix.RTN_UNICAST, To: netip.MustParsePrefix("0.0.0.0/0"), Via: server4, Index: dmz},
		{Table: 254, Type: unix.RTN_UNICAST, To: netip.MustParsePrefix("fd00:9::/64"), Via: server6, Index: dmz, Metric: 1024},
		{Table: 254, Type: unix.RTN_UNICAST, To: netip.MustParsePrefix("::/0"), Via: server6, Index: dmz, Metric: 1024},
		{Table: 254, Type: unix.RTN_BLACKHOLE, To: netip.MustParsePrefix("10.7.0.0/16")},
		{Table: 254, Type: unix.RTN_UNREACHABLE, To: netip.MustParsePrefix("fd00:7::/64"), Index: 1, Metric: 1024},
		{Table: 100, Type: unix.RTN_PROHIBIT, To: netip.MustParsePrefix("10.8.0.0/16")},
		{Table: 255, Type: unix.RTN_LOCAL, To: netip.MustParsePrefix("10.0.2.2/32"), Index: dmz},
	} {
		alike := func(r inspect.Route) bool {
			return r.Table == want.Table && r.Type == want.Type && r.To == want.To && r.Via == want.Via && r.Index == want.Index && r.Metric == want.Metric
		}
		if !slices.ContainsFunc(state.Routes, alike) {
			t.Errorf("no %+v in %+v", want, state.Routes)
		}
	}
}

func TestStateOfNeighbours(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(plain))
	client := lab.Node("client")
	lan, absent := link(t, client, "lan").Attrs().Index, netip.MustParseAddr("fd00:1::77")
	neighbour(t, client, "lan", fwLan4, net.HardwareAddr{2, 0, 0, 0, 0, 1})
	must(t, client.Netlink().NeighSet(&netlink.Neigh{LinkIndex: lan, State: unix.NUD_INCOMPLETE, IP: absent.AsSlice()}))
	neighbours := read(t, client).Neighbours
	if !slices.Contains(neighbours, inspect.Neighbour{Index: lan, Addr: fwLan4, State: unix.NUD_PERMANENT, MAC: "02:00:00:00:00:01"}) {
		t.Errorf("the router is not in %+v", neighbours)
	}
	const asked = unix.NUD_INCOMPLETE | unix.NUD_FAILED
	if !slices.ContainsFunc(neighbours, func(n inspect.Neighbour) bool { return n.Addr == absent && n.State&asked != 0 }) {
		t.Errorf("who does not answer is not in %+v", neighbours)
	}
}

func TestStateOfLookups(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(func(client, server, fw *topo.Node) {
		fw.Route(topo.Route{To: "10.7.0.0/16", Type: topo.Blackhole}, topo.Route{To: "fd00:7::/64", Type: topo.Unreachable}, topo.Route{To: "10.8.0.0/16", Type: topo.Prohibit})
	}))
	client4, client6 := netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("fd00:1::1")
	fw := lab.Node("fw")
	lan, dmz := link(t, fw, "lan").Attrs().Index, link(t, fw, "dmz").Attrs().Index
	far := netip.MustParseAddr("10.9.0.1")
	want := map[inspect.Question]inspect.Lookup{
		{To: server4}:                          {Type: unix.RTN_UNICAST, Out: dmz},
		{To: server6}:                          {Type: unix.RTN_UNICAST, Out: dmz},
		{From: client4, To: server4, In: lan}:  {Type: unix.RTN_UNICAST, Out: dmz},
		{From: client6, To: server6, In: lan}:  {Type: unix.RTN_UNICAST, Out: dmz},
		{To: far}:                              {Errno: unix.ENETUNREACH},
		{From: client4, To: far, In: lan}:      {Errno: unix.ENETUNREACH},
		{To: netip.MustParseAddr("fd00:9::1")}: {Errno: unix.ENETUNREACH},
		{From: client4, To: netip.MustParseAddr("10.7.0.1"), In: lan}:  {Errno: unix.EINVAL},
		{From: client6, To: netip.MustParseAddr("fd00:7::1"), In: lan}: {Errno: unix.EHOSTUNREACH},
		{From: client4, To: netip.MustParseAddr("10.8.0.1"), In: lan}:  {Errno: unix.EACCES},
		{From: fwLan4, To: server4, In: lan}:                           {Errno: unix.EINVAL}, // its own address from outside
	}
	var questions []inspect.Question
	for q := range want {
		questions = append(questions, q)
	}
	for q, got := range read(t, fw, questions...).Lookups {
		got.From, got.Table = netip.Addr{}, 0
		if got != want[q] {
			t.Errorf("%+v: %+v, want %+v", q, got, want[q])
		}
	}
	toServer := inspect.Question{To: server4}
	if got := read(t, lab.Node("client"), toServer).Lookups[toServer]; got.Via != fwLan4 || got.Errno != 0 || got.Out == 0 {
		t.Errorf("by the router: %+v", got)
	}
	own := inspect.Question{To: client4}
	if got := read(t, lab.Node("client"), own).Lookups[own]; got.Type != unix.RTN_LOCAL || got.Out != 1 {
		t.Errorf("the node's own: %+v", got)
	}
}

func TestStateOfSysctls(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(func(client, server, fw *topo.Node) {
		server.Sysctl("net.ipv4.icmp_echo_ignore_all", "1").Sysctl("net.ipv6.icmp.echo_ignore_all", "1").Sysctl("net.ipv4.conf.dmz.rp_filter", "2")
	}))
	if value, ok := read(t, lab.Node("fw")).Sysctls["net/no/such"]; value != "" || !ok {
		t.Errorf("a sysctl that is not there is %q, %v", value, ok)
	}
	for node, want := range map[string]map[string]string{
		"fw": {
			"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1", "net/ipv4/conf/lan/forwarding": "1",
			"net/ipv6/conf/dmz/forwarding": "1", "net/ipv4/icmp_echo_ignore_all": "0",
		},
		"server": {
			"net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0", "net/ipv4/icmp_echo_ignore_all": "1",
			"net/ipv6/icmp/echo_ignore_all": "1", "net/ipv4/conf/dmz/rp_filter": "2",
		},
	} {
		state := read(t, lab.Node(node))
		for key, value := range want {
			if state.Sysctls[key] != value {
				t.Errorf("%s: %s is %q, want %q", node, key, state.Sysctls[key], value)
			}
		}
	}
}

func TestStateOfListeners(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(plain))
	server := lab.Node("server")
	serve(t, server, "[::]:53")
	serve(t, server, "127.0.0.1:80")
	serve(t, server, "0.0.0.0:81")
	serve(t, server, "[fd00:2::1]:82")
	fill(t, lab, 90)
	bind(t, server, 83, func(fd int) error { return unix.BindToDevice(fd, "dmz") })
	bind(t, server, 84, func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1) })
	state := read(t, server)
	dmz := link(t, server, "dmz").Attrs().Index
	for _, c := range []struct {
		port        uint16
		only        string
		takes, lets string // addresses of the server, and of others
	}{
		{53, "", "10.0.2.1 fd00:2::1 127.0.0.1 ::1", ""},
		{80, "listens at 127.0.0.1 only", "127.0.0.1", "10.0.2.1 fd00:2::1 ::1"},
		{81, "listens for IPv4 only", "10.0.2.1 127.0.0.1", "fd00:2::1 ::1"},
		{82, "listens at fd00:2::1 only", "fd00:2::1", "10.0.2.1 ::1"},
		{83, "listens at interface dmz only", "10.0.2.1 fd00:2::1", ""},
		{84, "listens for IPv6 only", "fd00:2::1 ::1", "10.0.2.1"},
	} {
		for protocol, all := range map[string][]inspect.Listener{"TCP": state.Listeners, "UDP": state.UDP} {
			at := slices.IndexFunc(all, func(l inspect.Listener) bool { return l.Port == c.port })
			if at < 0 {
				t.Errorf("%s %d is not in %+v", protocol, c.port, all)
				continue
			}
			if got := state.Only(all[at]); got != c.only {
				t.Errorf("%s %d: %q, want %q", protocol, c.port, got, c.only)
			}
			for texts, want := range map[string]bool{c.takes: true, c.lets: false} {
				for _, text := range strings.Fields(texts) {
					if got := state.Takes(all[at], netip.MustParseAddr(text), dmz); got != want {
						t.Errorf("%s %d takes what is sent to %s: %v", protocol, c.port, text, got)
					}
				}
			}
			if state.Takes(all[at], server4, 1) && c.port == 83 {
				t.Errorf("%s %d takes what comes in elsewhere", protocol, c.port)
			}
		}
	}
	if full := slices.IndexFunc(state.Listeners, func(l inspect.Listener) bool { return l.Port == 90 && l.Waiting == 1 && l.Most == 0 }); full < 0 || !state.Listens(90) || state.Listens(91) {
		t.Errorf("the full queue is not in %+v", state.Listeners)
	}
	if state := read(t, lab.Node("client")); len(state.UDP)+len(state.Listeners) > 0 {
		t.Errorf("the client listens: %+v %v", state.Listeners, state.UDP)
	}
	if err := server.Do(func() error {
		all, err := inspect.Sockets(1 << 20)
		if len(all) < 12 || !slices.ContainsFunc(all, func(s inspect.Socket) bool { return strings.HasPrefix(s.String(), "tcp LISTEN 127.0.0.1:80 peer ") }) {
			t.Errorf("sockets: %v", all)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}
