package verdict

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var (
	away      = netip.MustParseAddr("192.0.2.9") // where nobody is
	linkLocal = netip.MustParseAddr("fe80::1")
)

var unsentRows = map[string]example{
	"no route": {happen: func(s *scene) { s.answers("client", server4, inspect.Lookup{Errno: unix.ENETUNREACH}) }, kind: evidence.NoRoute, word: "noroute@client",
		text: "the request was not routed at client: no route to 10.0.2.1"},
	"a link that is down, and took the route with it": {happen: func(s *scene) {
		s.on("client", "lan").Up = false
		s.answers("client", server4, inspect.Lookup{Errno: unix.ENETUNREACH})
		s.Heard.Errno = unix.ENETUNREACH
	}, kind: evidence.LinkDown, word: "linkdown@client", text: "the request was lost at client/lan: the link is down, and with it the route"},
	"a link that is down, and leads elsewhere": {happen: func(s *scene) {
		s.on("client", "lan").Up = false
		s.Flow.Addr = away
		s.answers("client", away, inspect.Lookup{Errno: unix.ENETUNREACH})
	}, kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client: nothing was seen to leave"},
	"a link that is down, with a route": {happen: func(s *scene) { s.on("client", "lan").Up = false }, kind: evidence.LinkDown, word: "linkdown@client",
		text: "the request was lost at client/lan: the link is down"},
	"the other end is down": {v6: true, happen: func(s *scene) {
		s.on("client", "lan").Carrier = false
		s.on("fw", "lan").Up = false
	}, kind: evidence.LinkDown, word: "linkdown@fw", text: "the request was lost at fw/lan: the link is down"},
	"no carrier": {happen: func(s *scene) { s.on("client", "lan").Carrier = false }, kind: evidence.NoCarrier, word: "nocarrier@client",
		text: "the request was lost at client/lan: the link has no carrier"},
	"no carrier, and nobody to look at": {happen: func(s *scene) {
		s.on("client", "lan").Carrier = false
		s.forget("fw")
	}, kind: evidence.NoCarrier, word: "nocarrier@client", text: "the request was lost at client/lan: the link has no carrier"},
	"too large": {happen: func(s *scene) { s.Heard.Errno = unix.EMSGSIZE }, kind: evidence.MTU, word: "mtu@client",
		text: "the request was too large at client: the packet is larger than the link takes"},
	"the address of a connection, which is lost": {happen: func(s *scene) {
		s.Flow.Source = s.own("client").Prefix.Addr()
		s.States["client"].Addrs = nil
	}, kind: evidence.NoAddress, word: "noaddress@client", text: "the request was not delivered at client: it does not have 10.0.1.1 any more, which it asks from"},
	"a tentative source": {v6: true, happen: func(s *scene) { s.own("client").Tentative = true }, kind: evidence.Tentative, word: "tentative@client",
		text: "the request was not delivered at client: fd00:1::1 is tentative"},
	"a link-local source, for want of another": {v6: true, happen: func(s *scene) {
		s.arrived("server")
		s.Timeline[0].Source = linkLocal
		s.own("client").Tentative = true
	}, kind: evidence.Tentative, word: "tentative@client", text: "the request was not delivered at client/lan: fd00:1::1 is tentative, and fe80::1 was the source"},
	"a link-local source, since the address is lost": {v6: true, happen: func(s *scene) {
		s.arrived("fw")
		for i := range s.Timeline {
			s.Timeline[i].Source = linkLocal
		}
		s.see(evidence.Refusal, "fw/lan out")
		s.States["client"].Addrs = nil
	}, kind: evidence.NoAddress, word: "noaddress@client",
		text: "the request was not delivered at client/lan: it does not have fd00:1::1/64, and fe80::1 was the source"},
	"a link-local source, at a router": {v6: true, happen: func(s *scene) {
		s.arrived("fw")
		for i := range s.Timeline {
			s.Timeline[i].Source = linkLocal
		}
		s.see(evidence.Refusal, "fw/lan out")
	}, kind: evidence.Martian, word: "martian@fw",
		text: "the request was not accepted at fw/lan: fe80::1 is a link-local address, which no router hands on"},
	"a link-local source, with another": {v6: true, happen: func(s *scene) {
		s.arrived("server")
		s.Timeline[0].Source = linkLocal
	}, kind: evidence.Unknown, word: "unknown@server", text: "inconclusive: the request was last seen at server/dmz: nothing there accounts for the silence"},
	"a link-local target": {v6: true, happen: func(s *scene) {
		s.arrived("client")
		s.Timeline[0].Source, s.Timeline[0].Destination = linkLocal, netip.MustParseAddr("fe80::2")
		s.own("client").Tentative = true
	}, kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client/lan: it left there, and was seen nowhere else"},
	"a tentative address of another family": {v6: true, happen: func(s *scene) {
		*s.own("client") = inspect.Addr{Index: 2, Prefix: netip.MustParsePrefix("10.0.1.1/24"), Tentative: true}
	}, kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client: nothing was seen to leave"},
	"a tentative link-local address": {v6: true, happen: func(s *scene) {
		*s.own("client") = inspect.Addr{Index: 2, Prefix: netip.MustParsePrefix("fe80::1/64"), Tentative: true}
	}, kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client: nothing was seen to leave"},
	"the router does not answer": {happen: func(s *scene) {
		s.States["client"].Neighbours = []inspect.Neighbour{{Index: 2, Addr: fwLan4, State: unix.NUD_INCOMPLETE}}
	}, kind: evidence.Neighbour, word: "neighbour@client", text: "the request was not sent on at client/lan: fw has 10.0.1.2, and has not answered for it yet"},
	"the router did not answer": {v6: true, happen: func(s *scene) {
		s.States["client"].Neighbours = []inspect.Neighbour{{Index: 2, Addr: fwLan6, State: unix.NUD_FAILED}}
	}, kind: evidence.Neighbour, word: "neighbour@client", text: "the request was not sent on at client/lan: fw has fd00:1::2, and does not answer for it"},
	"the router did not answer, which the kernel tells the asker in a packet": {v6: true, happen: func(s *scene) {
		s.see(evidence.Refusal, "client/lo out", "client/lo in")
		s.Heard.Errno = unix.EHOSTUNREACH
		s.States["client"].Neighbours = []inspect.Neighbour{{Index: 2, Addr: fwLan6, State: unix.NUD_FAILED}}
	}, kind: evidence.Neighbour, word: "neighbour@client", text: "the request was not sent on at client/lan: fw has fd00:1::2, and does not answer for it"},
	"nobody answers": {happen: func(s *scene) {
		s.Flow.Addr = netip.MustParseAddr("10.0.1.77")
		s.answers("client", s.Flow.Addr, inspect.Lookup{Type: 1, Out: 2})
		s.States["client"].Neighbours = []inspect.Neighbour{{Index: 2, Addr: s.Flow.Addr, State: unix.NUD_INCOMPLETE}}
	}, kind: evidence.Neighbour, word: "neighbour@client", text: "the request was not sent on at client/lan: nobody has answered for 10.0.1.77 yet"},
	"nobody to look at answers": {happen: func(s *scene) {
		s.States["client"].Neighbours = []inspect.Neighbour{{Index: 2, Addr: fwLan4, State: unix.NUD_INCOMPLETE}}
		s.forget("fw")
	}, kind: evidence.Neighbour, word: "neighbour@client", text: "the request was not sent on at client/lan: nobody has answered for 10.0.1.2 yet"},
	"other neighbours do not answer": {happen: func(s *scene) {
		s.States["client"].Neighbours = []inspect.Neighbour{
			{Index: 2, Addr: server4, State: unix.NUD_FAILED}, {Index: 1, Addr: fwLan4, State: unix.NUD_FAILED}, {Index: 2, Addr: fwLan4, State: unix.NUD_REACHABLE},
		}
	}, kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client: nothing was seen to leave"},
	"a blackhole": {happen: func(s *scene) { s.routed("client", unix.RTN_BLACKHOLE, unix.EINVAL) }, kind: evidence.Blackhole, word: "blackhole@client",
		policy: true, text: "the request was dropped at client: blackhole route 10.0.2.0/24"},
	"an unreachable route": {v6: true, happen: func(s *scene) { s.routed("client", unix.RTN_UNREACHABLE, unix.EHOSTUNREACH) }, kind: evidence.Unreachable,
		word: "unreachable@client", policy: true, text: "the request was rejected at client: unreachable route fd00:2::/64"},
	"a lookup that says something else": {happen: func(s *scene) { s.answers("client", server4, inspect.Lookup{Errno: unix.EINVAL}) }, kind: evidence.Unknown,
		word: "unknown@client", text: "inconclusive: the request was last seen at client: nothing was seen to leave"},
	"a link that is not there any more": {happen: func(s *scene) { s.answers("client", server4, inspect.Lookup{Type: 1, Out: 9}) }, kind: evidence.Unknown,
		word: "unknown@client", text: "inconclusive: the request was last seen at client: nothing was seen to leave"},
}

func TestExplainWhatIsUnsent(t *testing.T) {
	t.Parallel()
	explained(t, unsentRows)
}

// routed gives a node a route of a type to the target, among others, and the
// lookup's error.
func (s *scene) routed(node string, kind int, errno unix.Errno) {
	prefix := netip.PrefixFrom(s.Flow.Addr, 24).Masked()
	everywhere, one := netip.MustParsePrefix("0.0.0.0/0"), netip.PrefixFrom(s.Flow.Addr, 32)
	if s.Flow.Addr.Is6() {
		prefix, everywhere, one = netip.PrefixFrom(s.Flow.Addr, 64).Masked(), netip.MustParsePrefix("::/0"), netip.PrefixFrom(s.Flow.Addr, 128)
	}
	s.States[node].Routes = []inspect.Route{
		{Table: 254, Type: kind, To: everywhere}, {Table: 254, Type: kind, To: prefix}, {Table: 100, Type: unix.RTN_UNICAST, To: one},
		{Table: 254, Type: kind, To: netip.MustParsePrefix("198.51.100.0/24")},
	}
	s.answers(node, s.Flow.Addr, inspect.Lookup{Errno: errno})
}
