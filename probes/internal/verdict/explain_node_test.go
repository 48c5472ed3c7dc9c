package verdict

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

var routerRows = map[string]example{
	"an address that its owner has lost, and does not forward": {happen: func(s *scene) {
		s.arrived("server")
		s.own("server").Prefix = netip.MustParsePrefix("10.0.2.99/24")
		s.States["server"].Sysctls["net/ipv4/conf/dmz/forwarding"] = "0"
	}, kind: evidence.NoAddress, word: "noaddress@server", text: "the request was not delivered at server/dmz: it does not have 10.0.2.1/24"},
	"no route": {happen: func(s *scene) {
		s.arrived("fw")
		s.answers("fw", server4, inspect.Lookup{Errno: unix.ENETUNREACH})
	}, kind: evidence.NoRoute, word: "noroute@fw", text: "the request was not routed at fw/lan: no route to 10.0.2.1"},
	"no route for the answer": {v6: true, happen: func(s *scene) {
		s.came("fw")
		s.answers("fw", client6, inspect.Lookup{Errno: unix.ENETUNREACH})
	}, kind: evidence.NoRoute, word: "noroute@fw", text: "the request arrived; the answer was not routed at fw/dmz: no route to fd00:1::1"},
	"a link that is down, and took the route with it": {happen: func(s *scene) {
		s.arrived("fw")
		s.on("fw", "dmz").Up = false
		s.answers("fw", server4, inspect.Lookup{Errno: unix.ENETUNREACH})
	}, kind: evidence.LinkDown, word: "linkdown@fw", text: "the request was lost at fw/dmz: the link is down, and with it the route"},
	"a link that is down, behind another router": {happen: func(s *scene) {
		s.arrived("fw")
		s.on("fw", "dmz").Up = false
		far := netip.MustParsePrefix("10.9.0.0/16")
		s.Ports["fw"][1].Routes = []netip.Prefix{far}
		s.Timeline[len(s.Timeline)-1].Destination = netip.MustParseAddr("10.9.1.1")
		s.answers("fw", netip.MustParseAddr("10.9.1.1"), inspect.Lookup{Errno: unix.EHOSTUNREACH})
	}, kind: evidence.LinkDown, word: "linkdown@fw", text: "the request was lost at fw/dmz: the link is down, and with it the route"},
	"a link that is down, and may have taken the route with it": {happen: func(s *scene) {
		s.arrived("fw").Destination = away
		s.on("fw", "dmz").Up = false
		s.answers("fw", away, inspect.Lookup{Errno: unix.ENETUNREACH})
	}, kind: evidence.Unknown, word: "unknown@fw",
		text: "inconclusive: the request was last seen at fw/lan: no route to 192.0.2.9; link dmz is down, and a route may have gone with it"},
	"an address that is gone, and took the route with it": {happen: func(s *scene) {
		s.arrived("fw")
		s.States["fw"].Addrs = s.States["fw"].Addrs[:1]
		s.answers("fw", server4, inspect.Lookup{Errno: unix.ENETUNREACH})
	}, kind: evidence.NoAddress, word: "noaddress@fw", text: "the request was not delivered at fw/dmz: it does not have 10.0.2.2/24"},
	"an address that is gone, and led elsewhere": {happen: func(s *scene) {
		s.arrived("fw").Destination = away
		s.States["fw"].Addrs = s.States["fw"].Addrs[:1]
		s.answers("fw", away, inspect.Lookup{Errno: unix.ENETUNREACH})
	}, kind: evidence.NoRoute, word: "noroute@fw", text: "the request was not routed at fw/lan: no route to 192.0.2.9"},
	"a link that is gone": {happen: func(s *scene) {
		s.arrived("fw")
		s.States["fw"].Links = s.States["fw"].Links[:2]
		s.answers("fw", server4, inspect.Lookup{Errno: unix.ENETUNREACH})
	}, kind: evidence.NoRoute, word: "noroute@fw", text: "the request was not routed at fw/lan: no route to 10.0.2.1"},
	"a blackhole": {happen: func(s *scene) {
		s.arrived("fw")
		s.routed("fw", unix.RTN_BLACKHOLE, unix.EINVAL)
	}, kind: evidence.Blackhole, word: "blackhole@fw", policy: true, text: "the request was dropped at fw/lan: blackhole route 10.0.2.0/24"},
	"an unreachable route": {v6: true, happen: func(s *scene) {
		s.arrived("fw")
		s.routed("fw", unix.RTN_UNREACHABLE, unix.EHOSTUNREACH)
	}, kind: evidence.Unreachable, word: "unreachable@fw", policy: true, text: "the request was rejected at fw/lan: unreachable route fd00:2::/64"},
	"a prohibit route": {v6: true, happen: func(s *scene) {
		s.arrived("fw")
		s.routed("fw", unix.RTN_PROHIBIT, unix.EACCES)
	}, kind: evidence.Prohibit, word: "prohibit@fw", policy: true, text: "the request was rejected at fw/lan: prohibit route fd00:2::/64"},
	"such a route, and another error": {happen: func(s *scene) {
		s.arrived("fw")
		s.routed("fw", unix.RTN_BLACKHOLE, unix.EHOSTUNREACH)
	}, kind: evidence.Unknown, word: "unknown@fw", text: `inconclusive: the request was last seen at fw/lan: the route lookup of 10.0.2.1 says "no route to host"`},
	"an error that nothing accounts for": {happen: func(s *scene) {
		s.arrived("fw")
		s.answers("fw", server4, inspect.Lookup{Errno: unix.EACCES})
	}, kind: evidence.Unknown, word: "unknown@fw", text: `inconclusive: the request was last seen at fw/lan: the route lookup of 10.0.2.1 says "permission denied"`},
	"such a route elsewhere": {happen: func(s *scene) {
		s.arrived("fw")
		s.States["fw"].Routes = []inspect.Route{{Type: unix.RTN_BLACKHOLE, To: netip.MustParsePrefix("10.0.3.0/24")}}
		s.answers("fw", server4, inspect.Lookup{Errno: unix.EINVAL})
	}, kind: evidence.Unknown, word: "unknown@fw", text: `inconclusive: the request was last seen at fw/lan: the route lookup of 10.0.2.1 says "invalid argument"`},
	"a failed lookup": {happen: func(s *scene) {
		s.arrived("fw")
		s.answers("fw", server4, inspect.Lookup{Errno: unix.ENODATA})
	}, kind: evidence.Unknown, word: "unknown@fw", text: `inconclusive: the request was last seen at fw/lan: the route lookup of 10.0.2.1 says "no data available"`},
	"the time to live": {happen: func(s *scene) { s.arrived("fw").TTL = 1 }, kind: evidence.TTL, word: "ttl@fw",
		text: "the request was dropped at fw/lan: TTL expired"},
	"the time to live, by a rule": {happen: func(s *scene) {
		s.arrived("fw")
		s.see(evidence.Refusal, "fw/lan out").Expired = true
	}, kind: evidence.TTL, word: "ttl@fw", text: "the request was dropped at fw/lan: TTL expired: it came in with 64, which a rule there lowered"},
	"too large": {happen: func(s *scene) {
		s.arrived("fw").Length = 1500
		s.on("fw", "dmz").MTU = 1400
	}, kind: evidence.MTU, word: "mtu@fw", text: "the request was too large at fw/dmz: 1500 bytes, and the link takes 1400"},
	"as large as it may be": {happen: func(s *scene) {
		s.arrived("fw").Length = 1400
		s.on("fw", "dmz").MTU = 1400
	}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
	"a link that is down with a route": {happen: func(s *scene) {
		s.arrived("fw")
		s.on("fw", "dmz").Up = false
	}, kind: evidence.LinkDown, word: "linkdown@fw", text: "the request was lost at fw/dmz: the link is down"},
	"the other end is down": {happen: func(s *scene) {
		s.arrived("fw")
		s.on("fw", "dmz").Carrier = false
		s.on("server", "dmz").Up = false
	}, kind: evidence.LinkDown, word: "linkdown@server", text: "the request was lost at server/dmz: the link is down"},
	"no carrier": {happen: func(s *scene) {
		s.came("fw")
		s.on("fw", "lan").Carrier = false
	}, kind: evidence.NoCarrier, word: "nocarrier@fw", text: "the request arrived; the answer was lost at fw/lan: the link has no carrier"},
	"the target does not answer": {happen: func(s *scene) {
		s.arrived("fw")
		s.States["fw"].Neighbours = []inspect.Neighbour{{Index: 3, Addr: server4, State: unix.NUD_INCOMPLETE}}
	}, kind: evidence.Neighbour, word: "neighbour@fw", text: "the request was not sent on at fw/dmz: server has 10.0.2.1, and has not answered for it yet"},
	"the target is tentative": {v6: true, happen: func(s *scene) {
		s.arrived("fw")
		s.States["fw"].Neighbours = []inspect.Neighbour{{Index: 3, Addr: server6, State: unix.NUD_INCOMPLETE}}
		s.own("server").Tentative = true
	}, kind: evidence.Tentative, word: "tentative@server", text: "the request was not delivered at server/dmz: fd00:2::1 is tentative"},
	"the target lost its address": {happen: func(s *scene) {
		s.arrived("fw")
		s.States["fw"].Neighbours = []inspect.Neighbour{{Index: 3, Addr: server4, State: unix.NUD_FAILED}}
		s.States["server"].Addrs = nil
	}, kind: evidence.NoAddress, word: "noaddress@server", text: "the request was not delivered at server/dmz: it does not have 10.0.2.1"},
	"nobody was to have the address": {happen: func(s *scene) {
		s.arrived("fw")
		s.States["fw"].Neighbours = []inspect.Neighbour{{Index: 3, Addr: server4, State: unix.NUD_FAILED}}
		s.States["server"].Addrs, s.Ports["server"][0].Addrs = nil, nil
	}, kind: evidence.Neighbour, word: "neighbour@fw", text: "the request was not sent on at fw/dmz: nobody answers for 10.0.2.1"},
	"the target did not answer in time": {happen: func(s *scene) {
		s.arrived("fw")
		s.gaveUp(evidence.Refusal, "fw/lan out", 3, server4, unix.NUD_REACHABLE)
	}, kind: evidence.Neighbour, word: "neighbour@fw", text: "the request was not sent on at fw/dmz: nobody answered for 10.0.2.1 in time"},
	"the target did not, and that is forgotten": {happen: func(s *scene) {
		s.arrived("fw")
		s.gaveUp(evidence.Refusal, "fw/lan out", 3, server4, 0)
	}, kind: evidence.Neighbour, word: "neighbour@fw", text: "the request was not sent on at fw/dmz: server has 10.0.2.1, and does not answer for it"},
	"nobody had the address, and that is forgotten": {happen: func(s *scene) {
		s.arrived("fw")
		s.gaveUp(evidence.Refusal, "fw/lan out", 3, server4, 0)
		s.States["server"].Addrs = nil
	}, kind: evidence.NoAddress, word: "noaddress@server", text: "the request was not delivered at server/dmz: it does not have 10.0.2.1"},
	"a link without neighbours": {happen: func(s *scene) {
		s.arrived("fw")
		s.gaveUp(evidence.Refusal, "fw/lan out", 3, server4, 0)
		s.on("fw", "dmz").Flags = unix.IFF_NOARP
	}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: it sent a refusal, and no rule or route of it is known to"},
	"the next hop of the answer did not": {v6: true, happen: func(s *scene) {
		s.arrived("server")
		s.gaveUp(evidence.Undone, "server/lo out", 2, fwDmz6, unix.NUD_STALE)
	}, kind: evidence.Neighbour, word: "neighbour@server", text: "the request arrived; the answer was not sent on at server/dmz: nobody answered for fd00:2::2 in time"},
	"the asker did not, on the way back": {happen: func(s *scene) {
		s.came("fw")
		s.gaveUp(evidence.Undone, "fw/dmz out", 2, client4, unix.NUD_REACHABLE)
	}, kind: evidence.Neighbour, word: "neighbour@fw", text: "the request arrived; the answer was not sent on at fw/lan: nobody answered for 10.0.1.1 in time"},
	"another says so": {happen: func(s *scene) {
		s.arrived("server")
		s.gaveUp(evidence.Undone, "fw/dmz out", 2, client4, unix.NUD_REACHABLE)
	}, kind: evidence.Unknown, word: "unknown@server", text: "inconclusive: the request was last seen at server/dmz: nothing there accounts for the silence"},
	"who was not asked for": {happen: func(s *scene) {
		s.arrived("fw")
		s.gaveUp(evidence.Refusal, "fw/lan out", 3, server4, unix.NUD_NOARP)
	}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: it sent a refusal, and no rule or route of it is known to"},
	"where a rule may have said so": {happen: func(s *scene) {
		s.arrived("fw")
		s.gaveUp(evidence.Refusal, "fw/lan out", 3, server4, unix.NUD_REACHABLE)
		s.States["fw"].Legacy = true
	}, kind: evidence.Unknown, word: "unknown@fw",
		text: "inconclusive: the request was last seen at fw/lan: it sent a refusal, and no rule or route of it is known to; it has rules of iptables-legacy, which are not traced"},
}

// gaveUp is an ICMP error of a node that could not reach a neighbour on a link; that
// neighbour is in a state now.
func (s *scene) gaveUp(role evidence.Role, place string, index int, neighbour netip.Addr, state int) {
	seen := s.see(role, place)
	seen.NoHost = true
	s.States[seen.Node].Neighbours = []inspect.Neighbour{{Index: index, Addr: neighbour, State: state}}
}

func TestExplainRouters(t *testing.T) {
	t.Parallel()
	explained(t, routerRows)
}

// judged is a packet at a node, with sysctls that decide about it, and the way
// back to its source where that is not the one it came.
type judged struct {
	v6      bool
	at      string // "fw", "server" and "client"; "answer fw" and "answer client"
	sysctls string // "key=value key=value"
	way     *inspect.Lookup
	want    string
}

const (
	lanFilter, allFilter = "net/ipv4/conf/lan/rp_filter", "net/ipv4/conf/all/rp_filter"
	lanForward, forward  = "net/ipv4/conf/lan/forwarding", "net/ipv4/ip_forward"
	lanForward6          = "net/ipv6/conf/lan/forwarding"
	forward6             = "net/ipv6/conf/all/forwarding"
	stays                = "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"
	another              = "the request was not accepted at fw/lan: rp_filter=1, and the route back to 10.0.1.1 leaves by another interface"
)

var elsewhere, nowhere = &inspect.Lookup{Type: 1, Out: 3}, &inspect.Lookup{Errno: unix.ENETUNREACH}

func TestExplainForwarding(t *testing.T) {
	t.Parallel()
	for name, j := range map[string]judged{
		"off":                                {at: "fw", sysctls: forward + "=0 " + lanForward + "=0", want: "the request was not forwarded at fw/lan: net.ipv4.ip_forward=0"},
		"off at the link":                    {at: "fw", sysctls: lanForward + "=0", want: "the request was not forwarded at fw/lan: net.ipv4.conf.lan.forwarding=0"},
		"off, but on at the link":            {at: "fw", sysctls: forward + "=0", want: stays},
		"off at the other link":              {at: "fw", sysctls: "net/ipv4/conf/dmz/forwarding=0", want: stays},
		"off for v6, and asked v4":           {at: "fw", sysctls: forward6 + "=0 " + lanForward6 + "=0", want: stays},
		"off for v6":                         {v6: true, at: "fw", sysctls: forward6 + "=0", want: "the request was not forwarded at fw/lan: net.ipv6.conf.all.forwarding=0"},
		"off for v6 at the link":             {v6: true, at: "fw", sysctls: lanForward6 + "=0", want: stays},
		"off for v6, and forced at the link": {v6: true, at: "fw", sysctls: forward6 + "=0 net/ipv6/conf/lan/force_forwarding=1", want: stays},
		"off for v4, and asked v6":           {v6: true, at: "fw", sysctls: forward + "=0 " + lanForward + "=0", want: stays},
		"off for the answer": {
			at: "answer fw", sysctls: forward + "=0 net/ipv4/conf/dmz/forwarding=0", want: "the request arrived; the answer was not forwarded at fw/dmz: net.ipv4.ip_forward=0",
		},
		"off, and no way back": {at: "fw", sysctls: lanForward + "=0 " + lanFilter + "=1", way: nowhere, want: "the request was not forwarded at fw/lan: net.ipv4.conf.lan.forwarding=0"},
		"off at the target":    {at: "server", sysctls: forward + "=0", want: "inconclusive: the request was last seen at server/dmz: nothing there accounts for the silence"},
	} {
		j.check(t, name)
	}
}

func TestExplainReversePaths(t *testing.T) {
	t.Parallel()
	for name, j := range map[string]judged{
		"strict":                   {at: "fw", sysctls: lanFilter + "=1", way: elsewhere, want: another},
		"strict for all":           {at: "fw", sysctls: allFilter + "=1", way: elsewhere, want: another},
		"strict, and the same way": {at: "fw", sysctls: lanFilter + "=1", want: stays},
		"strict, and no way":       {at: "fw", sysctls: allFilter + "=1", way: nowhere, want: "the request was not accepted at fw/lan: rp_filter=1, and no route back to 10.0.1.1"},
		"loose":                    {at: "fw", sysctls: lanFilter + "=2", way: elsewhere, want: stays},
		"loose, and no way":        {at: "fw", sysctls: lanFilter + "=2", way: nowhere, want: "the request was not accepted at fw/lan: rp_filter=2, and no route back to 10.0.1.1"},
		"loose counts for strict":  {at: "fw", sysctls: lanFilter + "=2 " + allFilter + "=1", way: elsewhere, want: stays},
		"off":                      {at: "fw", way: elsewhere, want: stays},
		"v6, which has none":       {v6: true, at: "fw", sysctls: lanFilter + "=1 " + allFilter + "=1", way: elsewhere, want: stays},
		"strict at the target": {
			at: "server", sysctls: allFilter + "=1", way: nowhere, want: "the request was not accepted at server/dmz: rp_filter=1, and no route back to 10.0.1.1",
		},
		"strict at the asker": {
			at: "answer client", sysctls: lanFilter + "=1", way: elsewhere, want: "the request arrived; the answer was not accepted at client/lan: rp_filter=1, and the route back to 10.0.2.1 leaves by another interface",
		},
	} {
		j.check(t, name)
	}
	s := newScene(wire.UDP, false)
	s.arrived("fw")
	s.States["fw"].Sysctls[lanFilter] = "1"
	delete(s.States["fw"].Lookups, inspect.Question{To: client4})
	if c := Explain(s.Observation); c.String() != stays {
		t.Errorf("nothing asked: %s", c)
	}
}

func (j judged) check(t *testing.T, name string) {
	t.Helper()
	s := newScene(wire.ICMP, j.v6)
	node, answer := strings.CutPrefix(j.at, "answer ")
	var seen *evidence.Sighting
	if answer {
		seen = s.came(node)
	} else {
		seen = s.arrived(node)
	}
	for _, pair := range strings.Fields(j.sysctls) {
		key, value, _ := strings.Cut(pair, "=")
		s.States[node].Sysctls[key] = value
		if declared := s.Nodes["fw"]; value == "0" {
			declared.Router, declared.Closed = true, append(declared.Closed, key)
			s.Nodes = map[string]Declared{"fw": declared}
		}
	}
	if j.way != nil {
		s.answers(node, seen.Source, *j.way)
	}
	c := Explain(s.Observation)
	if c.String() != j.want {
		t.Errorf("%s:\n got %s\nwant %s", name, c, j.want)
	}
	if c.Policy != (c.Kind == evidence.NoForward) || c.Kind != evidence.Unknown && c.Word() != string(c.Kind)+"@"+node {
		t.Errorf("%s: %s, policy %v", name, c.Word(), c.Policy)
	}
}

func TestExplainMartians(t *testing.T) {
	t.Parallel()
	from := func(source netip.Addr, errno unix.Errno) func(*scene) {
		return func(s *scene) {
			at := s.arrived("fw")
			at.Source = source
			s.States["fw"].Lookups[onward(s.Flow, *at)] = inspect.Lookup{Errno: errno, Out: 3}
		}
	}
	explained(t, map[string]example{
		"loopback": {happen: from(netip.MustParseAddr("127.0.0.1"), unix.EINVAL), kind: evidence.Martian, word: "martian@fw",
			text: "the request was not accepted at fw/lan: 127.0.0.1 is a loopback address"},
		"loopback that may": {happen: from(netip.MustParseAddr("127.0.0.1"), 0), kind: evidence.Unknown, word: "unknown@fw",
			text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
		"loopback of v6": {v6: true, happen: from(netip.IPv6Loopback(), 0), kind: evidence.Martian, word: "martian@fw",
			text: "the request was not accepted at fw/lan: ::1 is a loopback address"},
		"its own": {happen: from(fwLan4, unix.EINVAL), kind: evidence.Martian, word: "martian@fw",
			text: "the request was not accepted at fw/lan: 10.0.1.2 is the node's own address"},
		"its own, that may": {happen: from(fwLan4, 0), kind: evidence.Unknown, word: "unknown@fw",
			text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
		"no address": {happen: from(netip.IPv4Unspecified(), 0), kind: evidence.Martian, word: "martian@fw",
			text: "the request was not accepted at fw/lan: 0.0.0.0 is no address that a packet may come from"},
		"its own at the loopback": {happen: func(s *scene) {
			at := s.see(evidence.Request, "server/lo in")
			at.Source, at.Destination = server4, server4
			s.States["server"].Lookups[onward(s.Flow, *at)] = inspect.Lookup{Errno: unix.EINVAL}
			s.answers("server", server4, inspect.Lookup{Type: unix.RTN_LOCAL, Out: 1})
		}, kind: evidence.Unknown, word: "unknown@server", text: "inconclusive: the request was last seen at server/lo: nothing there accounts for the silence"},
	})
}

// A packet with other addresses is judged by them.
func TestExplainTranslation(t *testing.T) {
	t.Parallel()
	translated := func(s *scene) *evidence.Sighting {
		s.Flow.Addr = fwLan4 // the router's own, which stands for the server's
		s.arrived("fw")
		at := s.see(evidence.Request, "fw")
		at.Index, at.Destination = 2, server4
		return at
	}
	explained(t, map[string]example{
		"dropped": {happen: func(s *scene) { translated(s).Rule = &commented }, kind: evidence.Drop, word: "drop@fw", policy: true,
			text: `the request was dropped at fw by rule "udp dport 53 drop" of inet filter forward ("no dns")`},
		"not forwarded": {happen: func(s *scene) {
			translated(s)
			s.States["fw"].Sysctls["net/ipv4/conf/lan/forwarding"] = "0"
		}, kind: evidence.NoForward, word: "noforward@fw", text: "the request was not forwarded at fw: net.ipv4.conf.lan.forwarding=0"},
		"no route": {happen: func(s *scene) {
			translated(s)
			s.answers("fw", server4, inspect.Lookup{Errno: unix.ENETUNREACH})
		}, kind: evidence.NoRoute, word: "noroute@fw", text: "the request was not routed at fw: no route to 10.0.2.1"},
	})
}
