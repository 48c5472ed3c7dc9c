package watch_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// bridged is two hosts and a box between them that a test makes a bridge of.
func bridged(t *testing.T) *harness.Lab {
	t.Helper()
	network := topo.New("bridged")
	left, right := network.Wire("left", "10.0.1.0/24", "fd00:1::/64"), network.Wire("right", "10.0.1.0/24", "fd00:1::/64")
	network.Host("client", left.At("10.0.1.1", "fd00:1::1"))
	network.Host("server", right.At("10.0.1.2", "fd00:1::2"))
	network.Host("box", left.NoAddress(), right.NoAddress())
	lab := harness.Up(t, network)
	h := lab.Node("box").Netlink()
	bridge := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
	bridge.Name = "br"
	must(t, h.LinkAdd(bridge))
	for _, name := range []string{"left", "right"} {
		must(t, h.LinkSetMaster(link(t, lab.Node("box"), name), link(t, lab.Node("box"), "br")))
	}
	must(t, h.LinkSetUp(bridge))
	return lab
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, node *harness.Node, name string) netlink.Link {
	t.Helper()
	l, err := node.Netlink().LinkByName(name)
	must(t, err)
	return l
}

// neighbour tells a node which MAC an address has.
func neighbour(t *testing.T, node *harness.Node, name string, addr netip.Addr, mac net.HardwareAddr) {
	t.Helper()
	must(t, node.Netlink().NeighSet(&netlink.Neigh{
		LinkIndex: link(t, node, name).Attrs().Index, State: unix.NUD_PERMANENT, IP: addr.AsSlice(), HardwareAddr: mac,
	}))
}

var neighbour4, neighbour6 = netip.MustParseAddr("10.0.1.2"), netip.MustParseAddr("fd00:1::2")

func TestWatchOfABridge(t *testing.T) {
	t.Parallel()
	lab := bridged(t)
	client, box := lab.Node("client"), lab.Node("box")
	serve(t, lab.Node("server"), 53)
	for _, addr := range []netip.Addr{neighbour4, neighbour6} {
		a := ask(t, client, to(udp, addr, 53))
		timeline := a.answered()
		const want = "client/left out request, box/left in request, box/right out request, server/right in request, " +
			"server/right out answer, box/right in answer, box/left out answer, client/left in answer"
		if got := places(timeline); got != want {
			t.Errorf("%s: %s\n%s", a.what(), got, timeline)
		}
	}
	for _, name := range []string{"left", "right"} {
		must(t, box.Netlink().LinkSetIsolated(link(t, box, name), true))
	}
	const want = "the request was not bridged at box/left: port left is isolated, as is the one it was for"
	for _, addr := range []netip.Addr{neighbour4, neighbour6} { // they know each other by now
		if c := ask(t, client, to(udp, addr, 53)).says(evidence.PortIsolated, want); !c.Policy || c.Word() != "isolated@box" {
			t.Errorf("%+v", c)
		}
	}
	// Those who do not know each other cannot ask for each other either.
	for _, addr := range []netip.Addr{neighbour4, neighbour6} {
		_ = client.Netlink().NeighDel(&netlink.Neigh{LinkIndex: link(t, client, "left").Attrs().Index, IP: addr.AsSlice()})
		if c := ask(t, client, to(tcp, addr, 53)).says(evidence.PortIsolated, want); !c.Policy {
			t.Errorf("%+v", c)
		}
	}
}

func TestWatchOfABridgeThatIsDown(t *testing.T) {
	t.Parallel()
	lab := bridged(t)
	client, box := lab.Node("client"), lab.Node("box")
	server := link(t, lab.Node("server"), "right").Attrs().HardwareAddr
	neighbour(t, client, "left", neighbour4, server)
	must(t, box.Netlink().LinkSetDown(link(t, box, "right")))
	ask(t, client, to(udp, neighbour4, 53)).says(evidence.LinkDown, "the request was lost at box/right: the link is down")
	must(t, box.Netlink().LinkSetUp(link(t, box, "right")))
	must(t, box.Netlink().LinkSetDown(link(t, box, "br")))
	ask(t, client, to(udp, neighbour4, 53)).says(evidence.LinkDown, "the request was lost at box/br: the bridge is down")
}

// A bridge's own rules.
func TestWatchNamesTheRuleOfABridge(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := bridged(t)
	must(t, lab.Node("box").Nft(chain("bridge", "forward priority 0", `ether type ip udp dport 53 drop comment "no dns"`, "ether type ip6 udp dport 53 drop")))
	const want = `the request was dropped at box by rule "ether type ip udp dport 53 drop" of bridge filter forward ("no dns")`
	if c := ask(t, lab.Node("client"), to(udp, neighbour4, 53)).says(evidence.Drop, want); !c.Router {
		t.Errorf("%+v", c)
	}
	ask(t, lab.Node("client"), to(udp, neighbour6, 53)).says(evidence.Drop, `the request was dropped at box by rule "ether type ip6 udp dport 53 drop" of bridge filter forward`)
}

func TestWatchOfAWrongMAC(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	neighbour(t, lab.Node("client"), "lan", fwLan4, net.HardwareAddr{2, 0, 0, 0, 0, 99})
	a := ask(t, lab.Node("client"), to(udp, server4, 53))
	a.says(evidence.WrongMAC, "the request was lost at fw/lan: it was addressed to another MAC")
	if timeline := a.timeline(); len(timeline) != 2 || !timeline[1].Foreign {
		t.Errorf("seen:\n%s", timeline)
	}
}

// A node that gave up on its neighbour says so to itself, of what it was to send.
// That the neighbour is there when the state is read does not hide it.
func TestWatchOfANeighbourThatIsLate(t *testing.T) {
	t.Parallel()
	late4, late6 := netip.MustParseAddr("10.0.2.77"), netip.MustParseAddr("fd00:2::77")
	lab := harness.Up(t, officeOf(func(_, server, _ *topo.Node) {
		server.Route(topo.Route{To: "10.0.1.0/24", Via: late4.String()}, topo.Route{To: "fd00:1::/64", Via: late6.String()})
	}))
	server := lab.Node("server")
	serve(t, server, 53)
	for _, family := range []string{"ipv4", "ipv6"} {
		must(t, server.SetSysctl("net."+family+".neigh.dmz.mcast_solicit", "1"))
	}
	for addr, late := range map[netip.Addr]netip.Addr{server4: late4, server6: late6} {
		a := ask(t, lab.Node("client"), to(udp, addr, 53))
		gomega.NewWithT(t).Eventually(a.timeline).WithTimeout(soon).Should(gomega.ContainElement(gomega.HaveField("NoHost", true)))
		neighbour(t, server, "dmz", late, net.HardwareAddr{2, 0, 0, 0, 0, 99})
		a.says(evidence.Neighbour, fmt.Sprintf("the request arrived; the answer was not sent on at server/dmz: nobody answered for %s in time", late))
	}
}

func TestWatchOfPacketsThatDoNotFit(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client := lab.Node("client")
	serve(t, lab.Node("server"), 53)
	flow4, flow6 := to(udp, server4, 53), to(udp, server6, 53)
	watch := open(t, lab.Nodes(), flow4)
	large := letter{size: 1400}
	must(t, lab.Node("server").Netlink().LinkSetMTU(link(t, lab.Node("server"), "dmz"), 1280))
	askBy(t, watch, client, flow4, large).says(evidence.MTU, "the request was too large at server/dmz: 1428 bytes, and the link there takes 1280")
	askBy(t, watch, client, flow6, large).says(evidence.MTU, "the request was too large at server/dmz: 1448 bytes, and the link there takes 1280")
	must(t, lab.Node("fw").Netlink().LinkSetMTU(link(t, lab.Node("fw"), "dmz"), 1300))
	a := askBy(t, watch, client, flow4, large)
	a.says(evidence.MTU, "the request was too large at fw/dmz: 1428 bytes, and the link takes 1300")
	if by := a.timeline().Refuser(); by != "fw" {
		t.Errorf("refused by %q\n%s", by, a.timeline())
	}
	askBy(t, watch, client, to(udp, server4, 54), letter{ttl: 1}).says(evidence.TTL, "the request was dropped at fw/lan: TTL expired")
}

// An address that is not settled yet takes no packets: duplicate address detection
// goes on for a hundred seconds here.
func TestWatchOfATentativeAddress(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	server := lab.Node("server")
	sysctls("server", "net.ipv6.conf.all.accept_dad", "1", "net.ipv6.conf.dmz.accept_dad", "1", "net.ipv6.conf.dmz.dad_transmits", "100")(t, lab)
	again, err := netlink.ParseAddr("fd00:2::99/64")
	must(t, err)
	must(t, server.Netlink().AddrAdd(link(t, server, "dmz"), again))
	ask(t, lab.Node("client"), to(udp, netip.MustParseAddr("fd00:2::99"), 53)).
		says(evidence.Tentative, "the request was not delivered at server/dmz: fd00:2::99 is tentative")
}

// A link of a router's own says whether it is one there; whether it forwards IPv6
// says the one for all, unless it is forced to.
func TestForwardingOfALink(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	serve(t, lab.Node("server"), 53)
	passes := func(how string) {
		t.Helper()
		a := ask(t, lab.Node("client"), to(udp, server6, 53))
		if by := a.answered().Answerer(); by != "server" {
			t.Errorf("%s: answered by %q\n%s", how, by, a.timeline())
		}
	}
	sysctls("fw", "net.ipv6.conf.lan.forwarding", "0")(t, lab)
	passes("off at the link")
	sysctls("fw", "net.ipv6.conf.all.forwarding", "0", "net.ipv6.conf.lan.forwarding", "1")(t, lab)
	ask(t, lab.Node("client"), to(udp, server6, 53)).says(evidence.NoForward, "the request was not forwarded at fw/lan: net.ipv6.conf.all.forwarding=0")
	const forced = "force_forwarding"
	if _, err := lab.Node("fw").Sysctl("net.ipv6.conf.lan." + forced); err != nil {
		return // before Linux 6.17
	}
	sysctls("fw", "net.ipv6.conf.lan."+forced, "1", "net.ipv6.conf.dmz."+forced, "1")(t, lab)
	passes("forced")
}
