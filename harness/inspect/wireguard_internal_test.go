package inspect

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness/internal/device"
	"github.com/nstest/nstest/topo"
)

// What an interface is told is what is read of it, in as many messages as it takes.
func TestWireGuardIsReadAsItWasTold(t *testing.T) {
	t.Parallel()
	many := make([]netip.Prefix, 1300)
	for i := range many {
		many[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
	}
	own := topo.WireGuardKey{1}
	d := &topo.DevicePlan{Index: 7, ID: 51820, WireGuard: &topo.WireGuardPlan{Key: own, Peers: []topo.WireGuardPeer{
		{Key: topo.WireGuardKey{8}.Public(), Endpoint: netip.MustParseAddrPort("192.0.2.2:51820"), Allowed: many},
		{Key: topo.WireGuardKey{16}.Public(), Endpoint: netip.MustParseAddrPort("[fd00::3]:51821"), Allowed: []netip.Prefix{netip.MustParsePrefix("fd00:8::/64"), netip.MustParsePrefix("10.5.6.7/32")}},
	}}}
	kind, err := device.Of("wireguard")
	if err != nil {
		t.Fatal(err)
	}
	var w WireGuard
	for _, request := range kind.Generic.Set(nil, d) {
		if err := w.read(request); err != nil {
			t.Fatal(err)
		}
	}
	if w.Port != 51820 || w.Key != "" || len(w.Peers) != 2 {
		t.Fatalf("%+v", w)
	}
	for i, peer := range w.Peers {
		planned := d.WireGuard.Peers[i]
		if peer.Key != planned.Key.String() || peer.Endpoint != planned.Endpoint || fmt.Sprint(peer.Allowed) != fmt.Sprint(planned.Allowed) || !peer.Handshake.IsZero() {
			t.Errorf("%+v, and not %+v", peer, planned)
		}
	}
	for addr, want := range map[string]int{"10.5.6.7": 1, "10.5.6.8": 0, "10.5.7.1": 0, "fd00:8::1": 1} {
		if peer, has := w.Peer(netip.MustParseAddr(addr)); !has || peer.Key != w.Peers[want].Key {
			t.Errorf("%s is not peer %d's", addr, want)
		}
	}
	if _, has := w.Peer(netip.MustParseAddr("192.0.2.1")); has {
		t.Error("somebody is allowed what nobody is")
	}
}
