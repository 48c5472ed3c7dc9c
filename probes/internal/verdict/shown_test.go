package verdict

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

var all4 = netip.MustParsePrefix("0.0.0.0/0")

// What a second try has shown, or a link's or a switch's own state.
func TestExplainsWhatWasShown(t *testing.T) {
	t.Parallel()
	explained(t, map[string]example{
		"a program that reads": {happen: func(s *scene) {
			s.arrived("server")
			s.Heard.Read = true
		}, kind: evidence.NoAnswer, word: "noanswer@server", text: "the request was delivered at server/dmz: udp/53 has a listener there, and nothing came back"},
		"a socket that drops": {happen: func(s *scene) {
			s.arrived("server")
			s.Heard.Untaken = "its receive buffer is full (SO_RCVBUF)"
		}, kind: evidence.NotTaken, word: "nottaken@server", text: "the request was not taken at server/dmz: the listener's socket at udp/53 drops it: its receive buffer is full (SO_RCVBUF)"},
		"a filter": {happen: func(s *scene) {
			s.arrived("fw")
			s.Heard.Filter = Filter{At: End{"fw", "lan"}, Direction: evidence.In, Words: "tc ingress: filter protocol ip pref 1 bpf handle 0x1"}
		}, kind: evidence.Filter, word: "filter@fw", text: "the request was dropped at fw/lan: tc ingress: filter protocol ip pref 1 bpf handle 0x1"},
		"a queue": {happen: func(s *scene) {
			s.arrived("fw")
			s.Heard.Queue = End{"fw", "dmz"}
		}, kind: evidence.Queue, word: "queue@fw", text: "the request was dropped at fw/dmz: its queueing discipline (tc) drops what is to leave there"},
		"a tag that nobody there knows": {happen: func(s *scene) {
			s.arrived("client")
			seen := s.see(evidence.Request, "fw/lan in")
			seen.Tag, seen.Foreign = 10, true
		}, kind: evidence.Tag, word: "tag@fw", text: "the request was not taken at fw/lan: it came with the tag of VLAN 10, of which no interface there is"},
		"a tag at who it was not for": {happen: func(s *scene) {
			s.arrived("client")
			seen := s.see(evidence.Request, "server/dmz in")
			seen.Tag, seen.Foreign = 10, true
		}, kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client/lan: it left there, and was seen nowhere else"},
		"an XDP program": {happen: func(s *scene) {
			s.arrived("client")
			s.on("fw", "lan").XDP = true
		}, kind: evidence.XDP, word: "xdp@fw", text: "the request was taken at fw/lan: an XDP program there gets each frame first"},
		"a source by another way": {happen: func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Sysctls["net/ipv4/conf/lan/rp_filter"] = "1"
			s.States["fw"].Lookups[inspect.Question{To: client4}] = inspect.Lookup{Type: unix.RTN_UNICAST, Out: 3}
		}, kind: evidence.RPFilter, word: "rpfilter@fw", text: "the request was not accepted at fw/lan: rp_filter=1, and the route back to 10.0.1.1 leaves by another interface"},
		"a policy of xfrm": {happen: func(s *scene) {
			s.arrived("fw")
			s.States["fw"].XfrmPolicies = []inspect.XfrmPolicy{{Direction: inspect.XfrmFwd, From: all4, To: all4, Blocks: true}}
		}, kind: evidence.XFRM, word: "xfrm@fw", policy: true, text: "the request was dropped at fw/lan: policy src 0.0.0.0/0 dst 0.0.0.0/0 dir fwd action block"},
		"a tunnel with another number": {happen: func(s *scene) {
			s.arrived("client")
			s.on("client", "lan").Kind, s.on("client", "lan").Tunnel = "gre", inspect.Tunnel{ID: 42}
			s.on("fw", "lan").Kind, s.on("fw", "lan").Tunnel = "gre", inspect.Tunnel{ID: 43}
		}, kind: evidence.Tunnel, word: "tunnel@client", text: "the request was lost at client/lan: the other end, lan of fw, has key 43, and this one 42"},
		"a tunnel to another end": {happen: func(s *scene) {
			s.arrived("client")
			s.on("client", "lan").Kind, s.on("client", "lan").Tunnel = "sit", inspect.Tunnel{Local: client4, Remote: printer4}
			s.on("fw", "lan").Kind, s.on("fw", "lan").Tunnel = "sit", inspect.Tunnel{Local: fwLan4, Remote: client4}
		}, kind: evidence.Tunnel, word: "tunnel@client", text: "the request was lost at client/lan: the other end, lan of fw, is at 10.0.1.2, and this one leads to " + printer4.String()},
		"a tunnel below which it was lost": {happen: func(s *scene) {
			s.arrived("client")
			s.on("client", "lan").Kind, s.on("fw", "lan").Kind = "ipip", "ipip"
		}, kind: evidence.Tunnel, word: "tunnel@client", text: "the request was lost at client/lan: lan is a tunnel (ipip): what carries it was lost below, or not taken at the other end"},
		"a tunnel whose other end has another number, and does not answer": {happen: func(s *scene) {
			s.on("client", "lan").Kind, s.on("client", "lan").Tunnel = "vxlan", inspect.Tunnel{ID: 42}
			s.on("fw", "lan").Kind, s.on("fw", "lan").Tunnel = "vxlan", inspect.Tunnel{ID: 43}
			s.States["client"].Neighbours = []inspect.Neighbour{{Index: 2, Addr: fwLan4, State: unix.NUD_INCOMPLETE}}
		}, kind: evidence.Tunnel, word: "tunnel@client", text: "the request was lost at client/lan: the other end, lan of fw, has VNI 43, and this one 42"},
		"a locked port": {happen: func(s *scene) {
			on := s.withSwitch()
			s.arrived("client")
			on.Ports[clientEnd] = inspect.BridgePort{Locked: true}
			delete(on.Entries, clientMAC)
		}, kind: evidence.PortLocked, word: "locked@client", policy: true, text: "the request was not bridged at client/lan: its port of switch lan is locked, and has no entry for MAC 02:00:00:00:00:01"},
		"a port without flooding": {happen: func(s *scene) {
			on := s.withSwitch()
			s.arrived("client")
			on.Ports[fwEnd] = inspect.BridgePort{NoFlood: true, NoLearning: true}
			delete(on.Entries, fwMAC)
		}, kind: evidence.NotFlooded, word: "notflooded@fw", policy: true, text: "the request was not bridged at fw/lan: its port of switch lan has flooding off, and the switch has no entry for MAC 02:00:00:00:00:02, and learns none there"},
	})
}
