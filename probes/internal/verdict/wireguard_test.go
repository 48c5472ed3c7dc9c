package verdict

import (
	"net/netip"
	"testing"
	"time"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

// tunnelled has the client and fw talk by WireGuard on lan, in which each knows the other, at
// dawn for the last time.
func (s *scene) tunnelled() (client, fw *inspect.WireGuard) {
	for _, name := range []string{"client", "fw"} {
		s.on(name, "lan").Kind = "wireguard"
	}
	s.States["client"].WireGuard = []inspect.WireGuard{{Index: 2, Key: "C", Port: 51820, Peers: []inspect.WireGuardPeer{{
		Key: "F", Endpoint: netip.MustParseAddrPort("192.0.2.2:51820"), Handshake: dawn, Allowed: []netip.Prefix{all4},
	}}}}
	s.States["fw"].WireGuard = []inspect.WireGuard{{Index: 2, Key: "F", Port: 51820, Peers: []inspect.WireGuardPeer{{
		Key: "C", Endpoint: netip.MustParseAddrPort("192.0.2.1:51820"), Handshake: dawn, Allowed: []netip.Prefix{netip.PrefixFrom(client4, 32)},
	}}}}
	s.arrived("client")
	return &s.States["client"].WireGuard[0], &s.States["fw"].WireGuard[0]
}

func TestExplainsWhatWireGuardKeeps(t *testing.T) {
	t.Parallel()
	explained(t, map[string]example{
		"handshakes, and what carries it lost": {happen: func(s *scene) { s.tunnelled() },
			kind: evidence.Tunnel, word: "tunnel@client",
			text: "the request was lost at client/lan: lan is a tunnel (wireguard): what carries it was lost below, or not taken at the other end"},
		"handshakes, and a port that has changed": {happen: func(s *scene) {
			_, fw := s.tunnelled()
			fw.Port = 4500
		}, kind: evidence.Tunnel, word: "tunnel@client",
			text: "the request was lost at client/lan: lan is a tunnel (wireguard): fw listens at port 4500"},
		"no handshake": {happen: func(s *scene) {
			client, _ := s.tunnelled()
			client.Peers[0].Handshake = time.Time{}
		}, kind: evidence.NoHandshake, word: "nohandshake@client",
			text: "the request was not sent on at client/lan: no handshake with fw at 192.0.2.2:51820: what carries it may have been lost below"},
		"a handshake of long ago": {happen: func(s *scene) {
			client, _ := s.tunnelled()
			client.Peers[0].Handshake = dawn.Add(-3 * time.Minute)
		}, kind: evidence.NoHandshake, word: "nohandshake@client",
			text: "the request was not sent on at client/lan: no handshake with fw at 192.0.2.2:51820: what carries it may have been lost below"},
		"another port": {happen: func(s *scene) {
			client, fw := s.tunnelled()
			client.Peers[0].Handshake, fw.Port = time.Time{}, 4500
		}, kind: evidence.NoHandshake, word: "nohandshake@client",
			text: "the request was not sent on at client/lan: no handshake with fw at 192.0.2.2:51820: fw listens at port 4500"},
		"a peer that knows nobody": {happen: func(s *scene) {
			client, fw := s.tunnelled()
			client.Peers[0].Handshake, fw.Peers = time.Time{}, nil
		}, kind: evidence.NoHandshake, word: "nohandshake@client",
			text: "the request was not sent on at client/lan: no handshake with fw at 192.0.2.2:51820: fw has no such peer"},
		"a key of nobody's": {happen: func(s *scene) {
			client, _ := s.tunnelled()
			client.Peers[0].Handshake, client.Peers[0].Key = time.Time{}, "X"
		}, kind: evidence.NoHandshake, word: "nohandshake@client",
			text: "the request was not sent on at client/lan: no handshake with peer X at 192.0.2.2:51820: nobody on the segment has its key"},
		"no endpoint": {happen: func(s *scene) {
			client, _ := s.tunnelled()
			client.Peers[0].Handshake, client.Peers[0].Endpoint = time.Time{}, netip.AddrPort{}
		}, kind: evidence.NoHandshake, word: "nohandshake@client", text: "the request was not sent on at client/lan: no endpoint of fw is known"},
		"a destination of no peer's": {happen: func(s *scene) {
			client, _ := s.tunnelled()
			client.Peers[0].Allowed, client.Peers[0].Handshake = []netip.Prefix{netip.PrefixFrom(fwLan4, 32)}, time.Time{}
		}, kind: evidence.NotAllowed, word: "notallowed@client", text: "the request was not taken at client/lan: no peer of lan is allowed 10.0.2.1"},
		"a source that is not the peer's": {happen: func(s *scene) {
			_, fw := s.tunnelled()
			fw.Peers[0].Allowed = nil
			s.on("fw", "lan").Counters.Received.Errors = 3
		}, kind: evidence.NotAllowed, word: "notallowed@fw",
			text: "the request was not taken at fw/lan: peer client is not allowed to send from 10.0.1.1; lan has counted 3 errors"},
		"an end that is down": {happen: func(s *scene) {
			client, _ := s.tunnelled()
			client.Peers[0].Handshake = time.Time{}
			s.on("fw", "lan").Up = false
		}, kind: evidence.LinkDown, word: "linkdown@fw", text: "the request was lost at fw/lan: the link is down"},
	})
}
