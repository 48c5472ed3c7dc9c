package verdict

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// closes turns forwarding off at fw, which was declared so.
func (s *scene) closes(key string, declared Declared) {
	s.States["fw"].Sysctls[key] = "0"
	s.States["fw"].Sysctls["net/ipv4/conf/lan/forwarding"] = "0"
	s.Nodes = map[string]Declared{"fw": declared}
}

const (
	off4, off6 = "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"
	isOff      = "the request was not forwarded at fw/lan: net.ipv4.ip_forward=0"
)

// Forwarding that is off isolates where somebody wants it so, and nowhere else.
func TestExplainWhoWantsNoForwarding(t *testing.T) {
	t.Parallel()
	at := func(key string, declared Declared) func(*scene) {
		return func(s *scene) {
			s.arrived("fw")
			s.closes(key, declared)
		}
	}
	explained(t, map[string]example{
		"a router that was told not to": {happen: at(off4, Declared{Router: true, Closed: []string{off4}}), kind: evidence.NoForward, word: "noforward@fw", policy: true, text: isOff},
		"told not to at that interface": {happen: func(s *scene) {
			s.arrived("fw")
			s.closes("net/ipv4/conf/lan/forwarding", Declared{Router: true, Closed: []string{"net/ipv4/conf/lan/forwarding"}})
		}, kind: evidence.NoForward, word: "noforward@fw", policy: true, text: "the request was not forwarded at fw/lan: net.ipv4.conf.lan.forwarding=0"},
		"told not to at another":          {happen: at(off4, Declared{Router: true, Closed: []string{"net/ipv4/conf/dmz/forwarding"}}), kind: evidence.NoForward, word: "noforward@fw", text: isOff},
		"told not to in the other family": {happen: at(off4, Declared{Router: true, Closed: []string{off6}}), kind: evidence.NoForward, word: "noforward@fw", text: isOff},
		"a router that was not told":      {happen: at(off4, Declared{Router: true}), kind: evidence.NoForward, word: "noforward@fw", text: isOff},
		"a node that nobody declared": {happen: func(s *scene) {
			s.arrived("fw")
			s.closes(off4, Declared{})
			s.Nodes = nil
		}, kind: evidence.NoForward, word: "noforward@fw", text: isOff},
		"a host": {happen: at(off4, Declared{}), kind: evidence.NotRouter, word: "notrouter@fw",
			text: "the request was not forwarded at fw/lan: fw is a host, not a router: check the routes of client"},
		"a host that forwards": {happen: func(s *scene) {
			s.arrived("fw")
			s.Nodes = map[string]Declared{"fw": {}}
		}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
		"a host, and the answer": {happen: func(s *scene) {
			s.came("fw")
			s.closes(off4, Declared{})
			s.States["fw"].Sysctls["net/ipv4/conf/dmz/forwarding"] = "0"
		}, kind: evidence.NotRouter, word: "notrouter@fw",
			text: "the request arrived; the answer was not forwarded at fw/dmz: fw is a host, not a router: check the routes of server"},
	})
}

// So does a route that is missing.
func TestExplainWhoWantsNoRoute(t *testing.T) {
	t.Parallel()
	lacks := func(declared Declared) func(*scene) {
		return func(s *scene) {
			s.arrived("fw")
			s.answers("fw", server4, inspect.Lookup{Errno: unix.ENETUNREACH})
			s.Nodes = map[string]Declared{"fw": declared}
		}
	}
	const none = "the request was not routed at fw/lan: no route to 10.0.2.1"
	explained(t, map[string]example{
		"a router":                   {happen: lacks(Declared{Router: true}), kind: evidence.NoRoute, word: "noroute@fw", text: none},
		"declared without routes":    {happen: lacks(Declared{Router: true, NoRoutes: true}), kind: evidence.NoRoute, word: "noroute@fw", policy: true, text: none},
		"its route was taken away":   {happen: lacks(Declared{Taken: []netip.Prefix{netip.MustParsePrefix("10.0.2.0/24")}}), kind: evidence.NoRoute, word: "noroute@fw", policy: true, text: none},
		"its default was taken away": {happen: lacks(Declared{Taken: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}), kind: evidence.NoRoute, word: "noroute@fw", policy: true, text: none},
		"another route was taken":    {happen: lacks(Declared{Taken: []netip.Prefix{netip.MustParsePrefix("10.0.3.0/24")}}), kind: evidence.NoRoute, word: "noroute@fw", text: none},
		"the other family's was":     {happen: lacks(Declared{Taken: []netip.Prefix{netip.MustParsePrefix("::/0")}}), kind: evidence.NoRoute, word: "noroute@fw", text: none},
		"another declared it of itself": {happen: func(s *scene) {
			lacks(Declared{})(s)
			s.Nodes["client"] = Declared{NoRoutes: true}
		}, kind: evidence.NoRoute, word: "noroute@fw", text: none},
	})
}

// comesBack is a request that goes on, and comes back to where it has been.
func (s *scene) comesBack(places ...string) {
	ttl := 64
	for _, place := range places {
		seen := s.see(evidence.Request, place)
		if seen.Direction == evidence.Out && seen.Node != "client" {
			ttl--
		}
		seen.TTL = ttl
	}
}

func TestExplainLoops(t *testing.T) {
	t.Parallel()
	explained(t, map[string]example{
		"back to the asker": {happen: func(s *scene) {
			s.comesBack("client/lan out", "fw/lan in", "fw/lan out", "client/lan in")
			s.States["client"].Sysctls["net/ipv4/conf/lan/forwarding"] = "0"
			s.Nodes = map[string]Declared{"client": {}, "fw": {Router: true}}
		}, kind: evidence.Loop, word: "loop@fw",
			text: "the request was sent back at fw/lan: its route to 10.0.2.1 leads back to client, where the packet came from"},
		"round and round, until its TTL expires": {happen: func(s *scene) {
			s.node("core", port{"dmz", netip.MustParseAddr("10.0.2.9"), netip.MustParsePrefix("10.0.2.0/24"), nil})
			s.comesBack("client/lan out", "fw/lan in", "fw/dmz out", "core/dmz in", "core/dmz out", "fw/dmz in", "fw/dmz out", "core/dmz in")
			s.Timeline[len(s.Timeline)-1].TTL = 1
		}, kind: evidence.Loop, word: "loop@core",
			text: "the request was sent back at core/dmz: its route to 10.0.2.1 leads back to fw, where the packet came from"},
		"what was sent again": {protocol: wire.TCP, happen: func(s *scene) {
			s.arrived("fw")
			s.again()
			s.arrived("fw")
		}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
		"what was translated on its way": {happen: func(s *scene) {
			s.comesBack("client/lan out", "fw/lan in", "fw/lan out", "client/lan in")
			s.Timeline[2].Destination, s.Timeline[3].Destination = client4, client4
			s.Timeline[2].Source, s.Timeline[3].Source = fwLan4, fwLan4
			s.answers("client", fwLan4, inspect.Lookup{Type: unix.RTN_UNICAST, Out: 2})
		}, kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client/lan: nothing there accounts for the silence"},
	})
}

// What may be over by itself says so; what was given up does not.
func TestWhatPasses(t *testing.T) {
	t.Parallel()
	for state, passes := range map[int]bool{unix.NUD_INCOMPLETE: true, unix.NUD_FAILED: false} {
		s := newScene(wire.UDP, false)
		s.arrived("fw")
		s.States["fw"].Neighbours = []inspect.Neighbour{{Index: 3, Addr: server4, State: state}}
		if c := Explain(s.Observation); c.Kind != evidence.Neighbour || c.Passing != passes {
			t.Errorf("%#x: %s, passing %v", state, c, c.Passing)
		}
	}
	for id, passes := range map[uint32]bool{42: true, 43: false} { // the other end's number
		s := newScene(wire.UDP, false)
		s.arrived("client")
		s.on("client", "lan").Kind, s.on("client", "lan").Tunnel = "gre", inspect.Tunnel{ID: 42}
		s.on("fw", "lan").Kind, s.on("fw", "lan").Tunnel = "gre", inspect.Tunnel{ID: id}
		if c := Explain(s.Observation); c.Kind != evidence.Tunnel || c.Passing != passes {
			t.Errorf("key %d: %s, passing %v", id, c, c.Passing)
		}
	}
	s := newScene(wire.UDP, false) // of another number no question comes back
	s.on("client", "lan").Kind, s.on("client", "lan").Tunnel = "vxlan", inspect.Tunnel{ID: 42}
	s.on("fw", "lan").Kind, s.on("fw", "lan").Tunnel = "vxlan", inspect.Tunnel{ID: 43}
	s.States["client"].Neighbours = []inspect.Neighbour{{Index: 2, Addr: fwLan4, State: unix.NUD_INCOMPLETE}}
	if c := Explain(s.Observation); c.Kind != evidence.Tunnel || c.Passing {
		t.Errorf("another number, of a neighbour that is asked for: %s, passing %v", c, c.Passing)
	}
	s = newScene(wire.UDP, false)
	s.arrived("fw")
	s.gaveUp(evidence.Refusal, "fw/lan out", 3, server4, unix.NUD_INCOMPLETE)
	if c := Explain(s.Observation); c.Kind != evidence.Neighbour || c.Passing || c.Detail != "server has 10.0.2.1, and does not answer for it" {
		t.Errorf("given up, and asked again: %s, passing %v", c, c.Passing)
	}
	s = newScene(wire.TCP, false)
	s.arrived("server")
	s.States["server"].Listeners = []inspect.Listener{{Addr: everywhere, Port: 53, Waiting: 2, Most: 1}}
	if c := Explain(s.Observation); c.Kind != evidence.Backlog || !c.Passing {
		t.Errorf("%s, passing %v", c, c.Passing)
	}
}
