package verdict

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

var targetRows = map[string]example{
	"a tentative address": {v6: true, happen: func(s *scene) {
		s.arrived("server")
		s.own("server").Tentative = true
	}, kind: evidence.Tentative, word: "tentative@server", text: "the request was not delivered at server/dmz: fd00:2::1 is tentative"},
	"nobody listens": {happen: func(s *scene) {
		s.arrived("server")
		s.States["server"].UDP = nil
	}, kind: evidence.NoListener, word: "nolistener@server", text: "the request was refused at server/dmz: nobody has port 53"},
	"nobody listens to TCP": {protocol: wire.TCP, v6: true, happen: func(s *scene) {
		s.arrived("server")
		s.States["server"].Listeners = nil
	}, kind: evidence.NoListener, word: "nolistener@server", text: "the request was refused at server/dmz: nobody has port 53"},
	"echo requests are ignored": {protocol: wire.ICMP, happen: func(s *scene) {
		s.arrived("server")
		s.States["server"].Sysctls["net/ipv4/icmp_echo_ignore_all"] = "1"
	}, kind: evidence.Ignored, word: "ignored@server", text: "the request was ignored at server/dmz: net.ipv4.icmp_echo_ignore_all=1"},
	"echo requests of v6 are ignored": {protocol: wire.ICMP, v6: true, happen: func(s *scene) {
		s.arrived("server")
		s.States["server"].Sysctls["net/ipv6/icmp/echo_ignore_all"] = "1"
	}, kind: evidence.Ignored, word: "ignored@server", text: "the request was ignored at server/dmz: net.ipv6.icmp.echo_ignore_all=1"},
	"those of the other family are": {protocol: wire.ICMP, v6: true, happen: func(s *scene) {
		s.arrived("server")
		s.States["server"].Sysctls["net/ipv4/icmp_echo_ignore_all"] = "1"
	}, kind: evidence.Unknown, word: "unknown@server", text: "inconclusive: the request was last seen at server/dmz: nothing there accounts for the silence"},
	"the listener's queue is full": {protocol: wire.TCP, happen: func(s *scene) {
		s.arrived("server")
		s.States["server"].Listeners = []inspect.Listener{{Addr: everywhere, Port: 80, Waiting: 9, Most: 1}, {Addr: everywhere, Port: 53, Waiting: 2, Most: 1}}
	}, kind: evidence.Backlog, word: "backlog@server",
		text: "the request was not accepted at server/dmz: 2 connections wait for the listener at port 53, which has room for 1"},
	"the listener's queue has room": {protocol: wire.TCP, happen: func(s *scene) {
		s.arrived("server")
		s.States["server"].Listeners = []inspect.Listener{{Addr: everywhere, Port: 53, Waiting: 1, Most: 1}} // one more than said fits in
	}, kind: evidence.Unknown, word: "unknown@server", text: "inconclusive: the request was last seen at server/dmz: nothing there accounts for the silence"},
	"no way back": {happen: func(s *scene) {
		s.arrived("server")
		s.answers("server", client4, inspect.Lookup{Errno: unix.ENETUNREACH})
	}, kind: evidence.NoRoute, word: "noroute@server", text: "the request arrived; the answer was not routed at server: no route to 10.0.1.1"},
	"a blackhole on the way back": {v6: true, happen: func(s *scene) {
		s.arrived("server")
		s.answers("server", client6, inspect.Lookup{Errno: unix.EINVAL})
		s.States["server"].Routes = []inspect.Route{{Table: unix.RT_TABLE_MAIN, Type: unix.RTN_BLACKHOLE, To: netip.MustParsePrefix("fd00:1::/64")}}
	}, kind: evidence.Blackhole, word: "blackhole@server", policy: true, text: "the request arrived; the answer was dropped at server: blackhole route fd00:1::/64"},
	"a way back that is down": {protocol: wire.TCP, happen: func(s *scene) {
		s.arrived("server")
		s.on("server", "dmz").Up = false
		s.answers("server", client4, inspect.Lookup{Errno: unix.ENETUNREACH})
	}, kind: evidence.LinkDown, word: "linkdown@server", text: "the request arrived; the answer was lost at server/dmz: the link is down, and with it the route"},
	"the router does not answer": {happen: func(s *scene) {
		s.arrived("server")
		s.States["server"].Neighbours = []inspect.Neighbour{{Index: 2, Addr: fwDmz4, State: unix.NUD_INCOMPLETE}}
	}, kind: evidence.Neighbour, word: "neighbour@server", text: "the request arrived; the answer was not sent on at server/dmz: fw has 10.0.2.2, and has not answered for it yet"},
	"a wrong lookup on the way back": {happen: func(s *scene) {
		s.arrived("server")
		s.answers("server", client4, inspect.Lookup{Errno: unix.EINVAL})
	}, kind: evidence.Unknown, word: "unknown@server", text: "inconclusive: the request was last seen at server/dmz: nothing there accounts for the silence"},
}

func TestExplainTargets(t *testing.T) {
	t.Parallel()
	explained(t, targetRows)
}

var linkRows = map[string]example{
	"the other end is down": {happen: func(s *scene) {
		s.arrived("client")
		s.on("fw", "lan").Up = false
	}, kind: evidence.LinkDown, word: "linkdown@fw", text: "the request was lost at fw/lan: the link is down"},
	"the other end has no carrier": {happen: func(s *scene) {
		s.arrived("client")
		s.on("fw", "lan").Carrier = false
	}, kind: evidence.NoCarrier, word: "nocarrier@fw", text: "the request was lost at fw/lan: the link has no carrier"},
	"this end has no carrier": {v6: true, happen: func(s *scene) {
		s.came("server")
		s.on("server", "dmz").Carrier = false
	}, kind: evidence.NoCarrier, word: "nocarrier@server", text: "the request arrived; the answer was lost at server/dmz: the link has no carrier"},
	"too large for the other end": {happen: func(s *scene) {
		s.arrived("client").Length = 1500
		s.on("fw", "lan").MTU = 1499
	}, kind: evidence.MTU, word: "mtu@fw", text: "the request was too large at fw/lan: 1500 bytes, and the link there takes 1499"},
	"to another MAC": {happen: func(s *scene) {
		s.arrived("client")
		s.see(evidence.Request, "fw/lan in").Foreign = true
	}, kind: evidence.WrongMAC, word: "wrongmac@fw", text: "the request was lost at fw/lan: it was addressed to another MAC"},
	"an answer to another MAC": {happen: func(s *scene) {
		s.came("server")
		s.see(evidence.Answer, "fw/dmz in").Foreign = true
	}, kind: evidence.WrongMAC, word: "wrongmac@fw", text: "the request arrived; the answer was lost at fw/dmz: it was addressed to another MAC"},
	"a request to another MAC, and an answer": {happen: func(s *scene) {
		s.see(evidence.Request, "fw/dmz in").Foreign = true
		s.came("server")
	}, kind: evidence.Unknown, word: "unknown@server", text: "inconclusive: the request arrived; the answer was last seen at server/dmz: it left there, and was seen nowhere else"},
	// On a switch only the one that it is for is to blame.
	"the gateway is down on a switch": {happen: func(s *scene) {
		s.switched()
		s.arrived("client")
		s.on("fw", "lan").Up, s.on("printer", "lan").Up = false, false
	}, kind: evidence.LinkDown, word: "linkdown@fw", text: "the request was lost at fw/lan: the link is down"},
	"another is down on a switch": {happen: func(s *scene) {
		s.switched()
		s.arrived("client")
		s.on("printer", "lan").Up = false
	}, kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client/lan: it left there, and was seen nowhere else"},
	"another is asked on a switch": {happen: func(s *scene) {
		s.switched()
		s.Flow.Addr = printer4
		s.answers("client", printer4, inspect.Lookup{Type: 1, Out: 2})
		s.arrived("client")
		s.on("printer", "lan").Up = false
	}, kind: evidence.LinkDown, word: "linkdown@printer", text: "the request was lost at printer/lan: the link is down"},
	"flooded on a switch": {happen: func(s *scene) {
		s.switched()
		s.arrived("client")
		s.see(evidence.Request, "printer/lan in").Foreign = true
	}, kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client/lan: it left there, and was seen nowhere else"},
	"nobody has the address on a switch": {happen: func(s *scene) {
		s.switched()
		s.Flow.Addr = netip.MustParseAddr("10.0.1.77")
		s.arrived("client")
	}, kind: evidence.NoAddress, word: "noaddress@client", text: "the request was not delivered at client/lan: nobody on the link has 10.0.1.77"},
	"a bond without a port that is up": {happen: func(s *scene) {
		s.bonded()
		s.arrived("client")
		s.on("printer", "lan").Up = false
	}, kind: evidence.LinkDown, word: "linkdown@printer", text: "the request was lost at printer/bond0: no port of the bond is up"},
	"who is asked for has a bond without a port that is up": {happen: func(s *scene) {
		s.bonded()
		s.asks("client", printer4)
		s.on("printer", "lan").Up = false
	}, kind: evidence.LinkDown, word: "linkdown@printer", text: "the request was lost at printer/bond0: no port of the bond is up"},
	"a bond with a port that is up": {happen: func(s *scene) {
		s.bonded()
		s.arrived("client")
	}, kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client/lan: it left there, and was seen nowhere else"},
	"a link that nobody planned": {happen: func(s *scene) {
		s.arrived("client")
		clear(s.Peers)
	}, kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client/lan: it left there, and was seen nowhere else"},
}

var printer4 = netip.MustParseAddr("10.0.1.9")

// bonded asks a printer whose port on the switch is one of a bond.
func (s *scene) bonded() {
	s.switched()
	s.Flow.Addr = printer4
	s.answers("client", printer4, inspect.Lookup{Type: 1, Out: 2})
	s.States["printer"].Links = append(s.States["printer"].Links, inspect.Link{Index: 7, Name: "bond0", Kind: "bond", Up: true, Carrier: true, MTU: 1500})
	s.on("printer", "lan").Master = 7
	has := s.Ports["printer"][0].Addrs
	s.Ports["printer"][0].Addrs = nil
	bond := End{"printer", "bond0"}
	s.Ports["printer"] = append(s.Ports["printer"], PortState{End: bond, Addrs: has})
	s.Peers[End{"client", "lan"}] = append(s.Peers[End{"client", "lan"}], bond)
}

// switched makes the lan a switch with a printer on it.
func (s *scene) switched() {
	s.node("printer", port{"lan", printer4, netip.MustParsePrefix("10.0.1.0/24"), nil})
	s.link(End{"printer", "lan"}, End{"client", "lan"})
	s.link(End{"printer", "lan"}, End{"fw", "lan"})
}

func TestExplainLinks(t *testing.T) {
	t.Parallel()
	explained(t, linkRows)
}

// bridged makes the router a bridge of its two ports, without an address; the
// client and the server are neighbours.
func (s *scene) bridged() *scene {
	fw := s.States["fw"]
	fw.Addrs = nil
	fw.Links = append(fw.Links, inspect.Link{Index: 4, Name: "br", Kind: "bridge", Up: true, Carrier: true, MTU: 1500})
	s.on("fw", "lan").Master, s.on("fw", "dmz").Master = 4, 4
	s.Ports["fw"][0].Addrs, s.Ports["fw"][1].Addrs = nil, nil
	s.answers("client", s.Flow.Addr, inspect.Lookup{Type: 1, Out: 2})
	return s
}

func (s *scene) asks(node string, addr netip.Addr) *scene {
	s.States[node].Neighbours = []inspect.Neighbour{{Index: 2, Addr: addr, State: unix.NUD_INCOMPLETE}}
	return s
}

var bridgeRows = map[string]example{
	"two isolated ports": {happen: func(s *scene) {
		s.bridged().arrived("fw")
		s.on("fw", "lan").Isolated, s.on("fw", "dmz").Isolated = true, true
	}, kind: evidence.PortIsolated, word: "isolated@fw", policy: true, text: "the request was not bridged at fw/lan: port lan is isolated, as is the one it was for"},
	"two ports in different VLANs": {happen: func(s *scene) {
		s.bridged().arrived("fw")
		s.on("fw", "lan").BridgePort, s.on("fw", "dmz").BridgePort = access(7), access(8)
	}, kind: evidence.PortVLAN, word: "vlan@fw", policy: true, text: "the request was not bridged at fw/lan: the VLAN filter of br: port lan is in VLAN 7, and port dmz in VLAN 8"},
	"a port that does not forward yet": {happen: func(s *scene) {
		s.bridged().arrived("fw")
		s.on("fw", "lan").STP = "listening"
	}, kind: evidence.PortState, word: "portstate@fw", text: "the request was not bridged at fw/lan: port lan of br is in state listening"},
	"a port that does not forward yet, with the target behind it": {happen: func(s *scene) {
		s.bridged().arrived("fw")
		s.on("fw", "lan").STP, s.on("fw", "dmz").STP = "forwarding", "blocking"
	}, kind: evidence.PortState, word: "portstate@fw", text: "the request was not bridged at fw/dmz: port dmz of br is in state blocking"},
	"a port that hands on no question for a neighbour": {happen: func(s *scene) {
		s.bridged().asks("client", s.Flow.Addr)
		s.on("fw", "dmz").STP = "learning"
	}, kind: evidence.PortState, word: "portstate@fw", text: "the request was not bridged at fw/dmz: port dmz of br is in state learning"},
	"ports that forward": {happen: func(s *scene) {
		s.bridged().arrived("fw")
		s.on("fw", "lan").STP, s.on("fw", "dmz").STP = "forwarding", "forwarding"
	}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: the bridge did not hand it on"},
	"a port that the owner of an address is behind is down": {happen: func(s *scene) {
		s.bridged().asks("client", s.Flow.Addr)
		s.on("fw", "dmz").Up = false
	}, kind: evidence.LinkDown, word: "linkdown@fw", text: "the request was lost at fw/dmz: the link is down"},
	"the bridge to the owner of an address is down": {happen: func(s *scene) {
		s.bridged().asks("client", s.Flow.Addr)
		s.on("fw", "br").Up = false
	}, kind: evidence.LinkDown, word: "linkdown@fw", text: "the request was lost at fw/br: the bridge is down"},
	"one isolated port": {happen: func(s *scene) {
		s.bridged().arrived("fw")
		s.on("fw", "lan").Isolated = true
	}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: the bridge did not hand it on"},
	"an isolated port of another bridge": {happen: func(s *scene) {
		s.bridged().arrived("fw")
		s.on("fw", "lan").Isolated, s.on("fw", "dmz").Isolated = true, true
		s.on("fw", "dmz").Master = 7
	}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: the bridge did not hand it on"},
	"two isolated ports, and the one it was for is none": {happen: func(s *scene) {
		s.bridged().arrived("fw")
		s.on("fw", "lan").Isolated = true
		s.States["fw"].Links = append(s.States["fw"].Links, inspect.Link{Index: 5, Name: "spare", Master: 4, Up: true, BridgePort: inspect.BridgePort{Isolated: true}})
	}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: the bridge did not hand it on"},
	"isolated ports, and nobody knows which it was for": {happen: func(s *scene) {
		s.bridged().arrived("fw").Destination = away
		s.on("fw", "lan").Isolated, s.on("fw", "dmz").Isolated = true, true
	}, kind: evidence.PortIsolated, word: "isolated@fw", policy: true, text: "the request was not bridged at fw/lan: port lan is isolated, as is the one it was for"},
	"an isolated port among others, and nobody knows which it was for": {happen: func(s *scene) {
		s.bridged().arrived("fw").Destination = away
		s.on("fw", "lan").Isolated, s.on("fw", "dmz").Isolated = true, true
		s.States["fw"].Links = append(s.States["fw"].Links, inspect.Link{Index: 5, Name: "spare", Master: 4, Up: true})
	}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: the bridge did not hand it on"},
	"an isolated port that is alone": {happen: func(s *scene) {
		s.bridged().arrived("fw")
		s.on("fw", "lan").Isolated = true
		s.on("fw", "dmz").Master = 0
	}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: the bridge did not hand it on"},
	"the bridge is down": {happen: func(s *scene) {
		s.bridged().arrived("fw")
		s.on("fw", "br").Up = false
	}, kind: evidence.LinkDown, word: "linkdown@fw", text: "the request was lost at fw/br: the bridge is down"},
	"the port it was for is down": {happen: func(s *scene) {
		s.bridged().arrived("fw")
		s.on("fw", "dmz").Up = false
	}, kind: evidence.LinkDown, word: "linkdown@fw", text: "the request was lost at fw/dmz: the link is down"},
	"another port is down": {happen: func(s *scene) {
		s.bridged().arrived("fw")
		s.States["fw"].Links = append(s.States["fw"].Links, inspect.Link{Index: 5, Name: "spare", Master: 4})
	}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: the bridge did not hand it on"},
	// The question for the neighbour is what two isolated ports keep first.
	"two isolated ports, and nothing was sent": {happen: func(s *scene) {
		s.bridged().asks("client", server4)
		s.on("fw", "lan").Isolated, s.on("fw", "dmz").Isolated = true, true
	}, kind: evidence.PortIsolated, word: "isolated@fw", policy: true, text: "the request was not bridged at fw/lan: port lan is isolated, as is the one it was for"},
	"one isolated port, and nothing was sent": {happen: func(s *scene) {
		s.bridged().asks("client", server4)
		s.on("fw", "lan").Isolated = true
	}, kind: evidence.Neighbour, word: "neighbour@client", text: "the request was not sent on at client/lan: server has 10.0.2.1, and has not answered for it yet"},
}

func TestExplainBridges(t *testing.T) {
	t.Parallel()
	explained(t, bridgeRows)
}
