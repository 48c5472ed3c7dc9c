package watch_test

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/wire"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// mirrored is client - lan - fw - dmz - server, and beside fw, on a link of its own, a
// router ids that looks into copies and leads to the server by a link of its own.
func mirrored(t *testing.T) *harness.Lab {
	t.Helper()
	network := topo.New("mirrored")
	lan, dmz := network.Wire("lan", "10.0.1.0/24"), network.Switch("dmz", "10.0.2.0/24")
	mirror, back := network.Wire("mirror", "10.0.7.0/24"), network.Wire("back", "10.0.8.0/24")
	network.Host("client", lan)
	network.Host("server", dmz, back)
	network.Host("other", dmz)
	network.Router("fw", lan, dmz, mirror)
	network.Router("ids", mirror.At("10.0.7.2"), back)
	return harness.Up(t, network)
}

const (
	copies = `table ip copies { chain pre { type filter hook prerouting priority -300;
		iifname "lan" udp dport 53 dup to 10.0.7.2 device "mirror"; }; }
	`
	shut = `table inet filter { chain forward { type filter hook forward priority 0; policy drop; }; }
	`
)

type rules map[string]string // by node

// story is what is done to a lab, and what becomes of a datagram to the server's port 53.
type story struct {
	rules  rules
	do     func(t *testing.T, lab *harness.Lab)
	letter letter
	flow   *wire.Flow // a datagram to the server's port 53 unless said
	serve  bool       // a program at the server reads it
	want   []string
	// over and delivered are what the account adds up to.
	over, delivered bool
}

func TestPacketsAreFollowedToTheirEnds(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]story{
		"it arrives": {rules: rules{"server": "table inet x { }"}, serve: true, delivered: true, over: true, want: []string{
			"request: out at client/lan, in at fw/lan, out at fw/dmz, in at server/dmz, let in",
		}},
		"a drop": {rules: rules{"fw": shut}, over: true, want: []string{
			"request: out at client/lan, in at fw/lan, dropped by policy drop of inet filter forward",
		}},
		"sent three times": {rules: rules{"fw": shut}, letter: letter{times: 3}, over: true, want: []string{
			"request: out at client/lan, in at fw/lan, dropped by policy drop of inet filter forward",
			"request: out at client/lan, in at fw/lan, dropped by policy drop of inet filter forward",
			"request: out at client/lan, in at fw/lan, dropped by policy drop of inet filter forward",
		}},
		"a copy, dropped at ids": {rules: rules{"fw": copies, "ids": shut}, serve: true, delivered: true, want: []string{
			"request: out at client/lan, in at fw/lan, out at fw/dmz, in at server/dmz, and what became of it was not seen",
			"request copied at fw: out at fw/mirror, in at ids/mirror, dropped by policy drop of inet filter forward",
		}},
		"both dropped": {rules: rules{"fw": copies + shut, "ids": shut}, over: true, want: []string{
			"request: out at client/lan, in at fw/lan, dropped by policy drop of inet filter forward",
			"request copied at fw: out at fw/mirror, in at ids/mirror, dropped by policy drop of inet filter forward",
		}},
		"the copy comes to the server by ids": {rules: rules{"fw": copies + shut}, do: byIDS, serve: true, delivered: true, want: []string{
			"request: out at client/lan, in at fw/lan, dropped by policy drop of inet filter forward",
			"request copied at fw: out at fw/mirror, in at ids/mirror, out at ids/back, in at server/back, and what became of it was not seen",
		}},
		"the copy dies in fw's output chain": {serve: true, rules: rules{"fw": copies + `table inet filter { chain out { type filter hook output priority 0;
			oifname "mirror" drop comment "no mirror"; }; }`}, delivered: true, want: []string{
			"request: out at client/lan, in at fw/lan, out at fw/dmz, in at server/dmz, and what became of it was not seen",
			`request copied at fw: dropped by rule "oifname \"mirror\" drop" of inet filter out ("no mirror") at fw`,
		}},
		"the packet waits, its copy dies": {rules: rules{"fw": copies, "ids": shut}, do: deaf, want: []string{
			"request: out at client/lan, in at fw/lan, passed the rules for dmz and did not leave",
			"request copied at fw: out at fw/mirror, in at ids/mirror, dropped by policy drop of inet filter forward",
		}},
		"fwd takes it away": {rules: rules{"ids": shut, "fw": `table netdev x { chain in { type filter hook ingress device "lan" priority 0;
			udp dport 53 fwd to "mirror"; }; }`}, want: []string{
			"request: out at client/lan, in at fw/lan, out at fw/mirror, came in nowhere",
			"request in a frame for another host: in at ids/mirror, not for this node",
		}},
		"redirected to fw itself": {rules: rules{"fw": `table ip nat { chain pre { type nat hook prerouting priority -100;
			udp dport 53 redirect to :5353; }; }`}, want: []string{
			"request: out at client/lan, in at fw/lan, let in",
		}},
		"led to another": {rules: rules{"fw": `table ip nat { chain pre { type nat hook prerouting priority -100;
			udp dport 53 dnat to 10.0.2.2; }; }`}, want: []string{
			"request: out at client/lan, in at fw/lan, out at fw/dmz, in at other/dmz, did not leave",
		}},
		"the server's own rules": {rules: rules{"server": `table inet filter { chain in { type filter hook input priority 0; policy drop; }; }`}, over: true, want: []string{
			"request: out at client/lan, in at fw/lan, out at fw/dmz, in at server/dmz, dropped by policy drop of inet filter in",
		}},
		"a MAC that nobody has, and a switch floods": {do: wrongMAC, want: []string{
			"request: out at client/lan, in at fw/lan, out at fw/dmz, came in nowhere",
			"request in a frame for another host: in at server/dmz, not for this node",
			"request in a frame for another host: in at other/dmz, not for this node",
		}},
		"a route that leads back": {do: leadBack, want: []string{
			"request: out at client/lan, in at fw/lan, out at fw/lan, in at client/lan, did not leave",
		}},
		"two routers that lead it to each other": {rules: rules{"fw": "table inet x { }"}, letter: letter{ttl: 4}, do: func(t *testing.T, lab *harness.Lab) {
			t.Helper()
			route(t, lab, "fw", "mirror", "10.0.2.1/32", "10.0.7.2")
		}, want: []string{
			"request: out at client/lan, in at fw/lan, out at fw/mirror, in at ids/mirror, out at ids/mirror, in at fw/mirror, out at fw/mirror, in at ids/mirror, did not leave",
		}},
		"a copy made where it is asked": {rules: rules{"fw": shut, "client": `table ip x { chain out { type filter hook output priority 0;
			udp dport 53 dup to 10.0.1.2 device "lan"; }; }`}, over: true, want: []string{
			"request: out at client/lan, in at fw/lan, dropped by policy drop of inet filter forward",
			"request copied at client: out at client/lan, in at fw/lan, dropped by policy drop of inet filter forward",
		}},
		"the asker asks itself": {flow: &wire.Flow{From: "client", To: "client", Addr: netip.MustParseAddr("10.0.1.1"), Protocol: wire.UDP, Port: 53}, delivered: true, over: true, want: []string{
			"request: out at client/lo, in at client/lo, let in",
		}},
		"the asker asks itself, and its rules": {flow: &wire.Flow{From: "client", To: "client", Addr: netip.MustParseAddr("10.0.1.1"), Protocol: wire.UDP, Port: 53},
			rules: rules{"client": `table inet x { chain in { type filter hook input priority 0; policy drop; }; }`}, over: true, want: []string{
				"request: out at client/lo, in at client/lo, dropped by policy drop of inet x in",
			}},
		"the first of a connection is dropped": {flow: &wire.Flow{From: "client", To: "server", Addr: netip.MustParseAddr("10.0.2.1"), Protocol: wire.TCP, Port: 80},
			rules: rules{"server": "table inet x { }", "fw": `table ip x { set seen { type inet_service; flags dynamic; timeout 1m; };
			chain forward { type filter hook forward priority 0; tcp flags syn tcp sport != @seen add @seen { tcp sport } drop; }; }`},
			delivered: true, over: true, want: []string{
				`request: out at client/lan, in at fw/lan, dropped by rule "tcp flags syn tcp sport != @seen add @seen { tcp sport } drop" of ip x forward`,
				"request: out at client/lan, in at fw/lan, out at fw/dmz, in at server/dmz, let in",
			}},
		"a bridge's rules": {rules: rules{"fw": `table bridge filter { chain forward { type filter hook forward priority 0;
			udp dport 53 drop; }; }`}, do: bridge, over: true, want: []string{
			`request: out at client/lan, in at fw/lan, dropped by rule "udp dport 53 drop" of bridge filter forward`,
		}},
		"a bridge hands on": {rules: rules{"fw": `table bridge filter { chain forward { type filter hook forward priority 0; }; }`}, do: bridge, serve: true, delivered: true, want: []string{
			"request: out at client/lan, in at fw/lan, out at fw/dmz, in at server/dmz, and what became of it was not seen",
		}},
		"a bridge between isolated ports": {do: func(t *testing.T, lab *harness.Lab) {
			t.Helper()
			bridge(t, lab)
			for _, link := range []string{"lan", "dmz"} {
				if err := lab.Node("fw").Netlink().LinkSetIsolated(linkOf(t, lab, "fw", link), true); err != nil {
					t.Fatal(err)
				}
			}
		}, want: []string{
			"request: out at client/lan, in at fw/lan, not bridged on",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.check(t, mirrored(t))
		})
	}
}

func linkOf(t *testing.T, lab *harness.Lab, node, name string) netlink.Link {
	t.Helper()
	link, err := lab.Node(node).Netlink().LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// permanent gives a node an entry for an address that does not change.
func permanent(t *testing.T, lab *harness.Lab, node, link, addr, mac string) {
	t.Helper()
	hardware, _ := net.ParseMAC(mac)
	err := lab.Node(node).Netlink().NeighSet(&netlink.Neigh{
		LinkIndex: linkOf(t, lab, node, link).Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.ParseIP(addr), HardwareAddr: hardware,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func route(t *testing.T, lab *harness.Lab, node, link, to, via string) {
	t.Helper()
	_, prefix, _ := net.ParseCIDR(to)
	r := &netlink.Route{LinkIndex: linkOf(t, lab, node, link).Attrs().Index, Dst: prefix, Gw: net.ParseIP(via), Scope: netlink.SCOPE_LINK}
	if via != "" {
		r.Scope = netlink.SCOPE_UNIVERSE
	}
	if err := lab.Node(node).Netlink().RouteReplace(r); err != nil {
		t.Fatal(err)
	}
}

// deaf has the server not answer for its address.
func deaf(t *testing.T, lab *harness.Lab) {
	t.Helper()
	if err := lab.Node("server").Netlink().LinkSetARPOff(linkOf(t, lab, "server", "dmz")); err != nil {
		t.Fatal(err)
	}
}

func wrongMAC(t *testing.T, lab *harness.Lab) {
	t.Helper()
	permanent(t, lab, "fw", "dmz", "10.0.2.1", "02:00:00:00:77:77")
}

func leadBack(t *testing.T, lab *harness.Lab) {
	t.Helper()
	route(t, lab, "fw", "lan", "10.0.2.1/32", "10.0.1.1")
}

func byIDS(t *testing.T, lab *harness.Lab) {
	t.Helper()
	route(t, lab, "ids", "back", "10.0.2.1/32", "10.0.8.1")
}

// bridge makes a bridge of fw, between the lan and the dmz.
func bridge(t *testing.T, lab *harness.Lab) {
	t.Helper()
	handle := lab.Node("fw").Netlink()
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	err := errors.Join(handle.LinkAdd(br), handle.LinkSetUp(br))
	for _, link := range []string{"lan", "dmz"} {
		err = errors.Join(err, handle.LinkSetMaster(linkOf(t, lab, "fw", link), br))
	}
	if err != nil {
		t.Fatal(err)
	}
	route(t, lab, "client", "lan", "10.0.2.1/32", "")
	route(t, lab, "server", "dmz", "10.0.1.1/32", "")
	permanent(t, lab, "client", "lan", "10.0.2.1", linkOf(t, lab, "server", "dmz").Attrs().HardwareAddr.String())
	entry := &netlink.Neigh{
		LinkIndex: linkOf(t, lab, "fw", "dmz").Attrs().Index, Family: unix.AF_BRIDGE, State: netlink.NUD_NOARP, Flags: netlink.NTF_MASTER,
		HardwareAddr: linkOf(t, lab, "server", "dmz").Attrs().HardwareAddr,
	}
	if err := handle.NeighSet(entry); err != nil {
		t.Fatal(err)
	}
}

func (s story) check(t *testing.T, lab *harness.Lab) {
	t.Helper()
	harness.Require(t, harness.NftTool)
	for node, text := range s.rules {
		if err := lab.Node(node).Nft(text); err != nil {
			t.Fatal(err)
		}
	}
	client := lab.Node("client")
	if s.do != nil {
		s.do(t, lab)
	}
	if s.serve {
		conn, err := lab.Node("server").ListenPacket(t.Context(), "udp", netip.MustParseAddrPort("0.0.0.0:53"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	w := open(t, lab.Nodes())
	flow := to(wire.UDP, netip.MustParseAddr("10.0.2.1"), 53)
	if s.flow != nil {
		flow = *s.flow
	}
	a := askBy(t, w, client, flow, s.letter)
	defer w.Done(a.trail)
	var got []string
	slices.Sort(s.want)
	strays := slices.ContainsFunc(s.want, func(p string) bool { return strings.Contains(p, "for another host") })
	for end := time.Now().Add(soon); time.Now().Before(end); {
		got = got[:0]
		for _, p := range w.Packets(a.trail) {
			if p.Role == evidence.Request && (!p.Stray || strays) { // a switch may not have learned where the server is
				got = append(got, p.String())
			}
		}
		slices.Sort(got) // a switch floods in its own order
		if slices.Equal(got, s.want) {
			break
		}
	}
	if !slices.Equal(got, s.want) {
		t.Errorf("packets\n%s\nwant\n%s\n%s", lines(got), lines(s.want), w.Timeline(a.trail))
	}
	acc := w.Account(a.trail)
	if acc.Over(account.Request) != s.over || acc.Delivered() != s.delivered {
		t.Errorf("over %v, delivered %v, want %v, %v: %v", acc.Over(account.Request), acc.Delivered(), s.over, s.delivered, acc.Open(account.Request))
	}
}

func lines(all []string) (text string) {
	for _, l := range all {
		text += "  " + l + "\n"
	}
	return text
}
