package device

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

var wireguard = &Kind{Name: "wireguard", Quiet: true, Generic: &Generic{
	Family: unix.WG_GENL_NAME, Version: unix.WG_GENL_VERSION, Command: unix.WG_CMD_SET_DEVICE, Set: setWireGuard, Greet: greetPeers,
}}

// mostAllowed is how many prefixes are in one message: an attribute has 64 KiB at most.
const mostAllowed = 512

// setWireGuard are the requests that make an interface what the plan has: of one that is new
// its key and port, and of any the peers that are otherwise.
func setWireGuard(was, d *topo.DevicePlan) (requests []Attributes) {
	var had []topo.WireGuardPeer
	if was != nil {
		had = was.WireGuard.Peers
	} else {
		a := begin(d)
		a.Bytes(unix.WGDEVICE_A_PRIVATE_KEY, d.WireGuard.Key[:])
		a.U16(unix.WGDEVICE_A_LISTEN_PORT, uint16(d.ID))
		requests = append(requests, a)
	}
	for _, peer := range had {
		if !slices.ContainsFunc(d.WireGuard.Peers, func(other topo.WireGuardPeer) bool { return other.Key == peer.Key }) {
			requests = append(requests, about(d, told(peer, unix.WGPEER_F_REMOVE_ME, nil)))
		}
	}
	for _, peer := range d.WireGuard.Peers {
		if slices.ContainsFunc(had, func(other topo.WireGuardPeer) bool { return same(peer, other) }) {
			continue
		}
		flags := uint32(unix.WGPEER_F_REPLACE_ALLOWEDIPS)
		for first := true; first || len(peer.Allowed) > 0; first, flags = false, 0 {
			some := peer.Allowed[:min(len(peer.Allowed), mostAllowed)]
			peer.Allowed = peer.Allowed[len(some):]
			requests = append(requests, about(d, told(peer, flags, some)))
		}
	}
	return requests
}

// greetPeers has each peer be sent a packet without content, and so a handshake: the kernel does
// so when it is first told to keep a connection alive.
func greetPeers(d *topo.DevicePlan) (requests []Attributes) {
	for _, peer := range d.WireGuard.Peers {
		for _, seconds := range []uint16{1, 0} {
			var one Attributes
			one.Bytes(unix.WGPEER_A_PUBLIC_KEY, peer.Key[:])
			one.U32(unix.WGPEER_A_FLAGS, unix.WGPEER_F_UPDATE_ONLY)
			one.U16(unix.WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, seconds)
			requests = append(requests, about(d, one))
		}
	}
	return requests
}

func same(a, b topo.WireGuardPeer) bool {
	return a.Key == b.Key && a.Endpoint == b.Endpoint && slices.Equal(a.Allowed, b.Allowed)
}

// begin is the beginning of a request: which interface it is about.
func begin(d *topo.DevicePlan) (a Attributes) {
	a.U32(unix.WGDEVICE_A_IFINDEX, uint32(d.Index))
	return a
}

// about is a request about one of an interface's peers.
func about(d *topo.DevicePlan, one Attributes) Attributes {
	var entry Attributes
	entry.Nested(0, one)
	a := begin(d)
	a.Nested(unix.WGDEVICE_A_PEERS, entry)
	return a
}

// told is what an interface is told of a peer.
func told(peer topo.WireGuardPeer, flags uint32, allowed []netip.Prefix) (one Attributes) {
	var prefixes Attributes
	one.Bytes(unix.WGPEER_A_PUBLIC_KEY, peer.Key[:])
	if flags != 0 {
		one.U32(unix.WGPEER_A_FLAGS, flags)
	}
	if flags&unix.WGPEER_F_REMOVE_ME == 0 {
		one.Bytes(unix.WGPEER_A_ENDPOINT, sockaddr(peer.Endpoint))
	}
	for _, prefix := range allowed {
		var a Attributes
		a.U16(unix.WGALLOWEDIP_A_FAMILY, family(prefix.Addr()))
		a.Addr(unix.WGALLOWEDIP_A_IPADDR, prefix.Addr())
		a.U8(unix.WGALLOWEDIP_A_CIDR_MASK, uint8(prefix.Bits()))
		prefixes.Nested(0, a)
	}
	if len(prefixes) > 0 {
		one.Nested(unix.WGPEER_A_ALLOWEDIPS, prefixes)
	}
	return one
}

func family(addr netip.Addr) uint16 {
	if addr.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// sockaddr is struct sockaddr_in, or sockaddr_in6 (ip(7), ipv6(7)).
func sockaddr(at netip.AddrPort) []byte {
	const port, addr4, addr6 = 2, 4, 8
	size, addr := unix.SizeofSockaddrInet4, addr4
	if at.Addr().Is6() {
		size, addr = unix.SizeofSockaddrInet6, addr6
	}
	raw := make([]byte, size)
	binary.NativeEndian.PutUint16(raw, family(at.Addr()))
	binary.BigEndian.PutUint16(raw[port:], at.Port())
	copy(raw[addr:], at.Addr().AsSlice())
	return raw
}
