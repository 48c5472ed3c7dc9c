package topo

import (
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"
)

const (
	// wireguardOver is what WireGuard adds to a packet (its paper, 5.4.6; wg-quick(8)): its
	// own header and tag, UDP and, so that the endpoint may be either, IPv6.
	wireguardOver = 32 + 8 + 40
	// wireguardPort is the first of a node's ports of UDP, as wg(8) has it in its examples.
	wireguardPort = 51820
)

var wireguardOverlay = &overlayKind{
	kind: KindWireGuard, overhead: [2]int{wireguardOver, wireguardOver}, bare: true,
	plan: func(p *planner, port *DevicePlan, at, below end) {
		p.tunnel(port, at, below)
		port.Remotes = nil // each peer has its endpoint
		port.ID = p.wireguardPort(at)
		port.WireGuard = &WireGuardPlan{Key: makeKey(p.network.name, p.plan.Nodes[at.node].Name, port.Segment, port.Name)}
	},
}

// KindWireGuard is a segment of Network.WireGuard.
const KindWireGuard Kind = "wireguard"

// WireGuard declares a segment of packets that are encrypted (wireguard.com/papers) between
// the addresses that its nodes have on another, the underlay. Each node is a peer of every
// other, at port 51820 of UDP, or the next where the node has that already. Keys are made of
// the names, the same every time. What a peer may send, and is sent, are its addresses there
// and what the node has routes to by it (wg(8): AllowedIPs). The MTU is the underlay's less
// 80 bytes.
//
//	wifi := world.Switch("wifi", "192.0.2.0/24")
//	vpn := world.WireGuard("vpn", wifi, "10.8.0.0/24")
//	world.Host("laptop", wifi, vpn)
//	world.Router("exit", wifi, vpn, internet)
func (n *Network) WireGuard(name string, underlay *Segment, prefixes ...string) *Segment {
	return n.overlay(wireguardOverlay, name, underlay, 0, prefixes)
}

// WireGuardKey is a key of Curve25519.
type WireGuardKey [32]byte

// String is the key in base64, as wg(8) has it.
func (k WireGuardKey) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// Public is the public key of a private one.
func (k WireGuardKey) Public() WireGuardKey {
	private, err := ecdh.X25519().NewPrivateKey(k[:])
	if err != nil { // it has 32 bytes, and any are a key
		return WireGuardKey{}
	}
	return WireGuardKey(private.PublicKey().Bytes())
}

// makeKey is a private key made of names, the same every time.
func makeKey(parts ...string) WireGuardKey {
	key := WireGuardKey(sha256.Sum256([]byte("wireguard\x00" + strings.Join(parts, "\x00"))))
	key[0] &^= 7 // clamped, as the kernel has it (RFC 7748, 5)
	key[31] = key[31]&127 | 64
	return key
}

// WireGuardPlan is what a port on a segment of WireGuard has besides. Its port of UDP is the
// ID in DevicePlan.
type WireGuardPlan struct {
	Key   WireGuardKey // private; nobody prints it
	Peers []WireGuardPeer
}

// WireGuardPeer is another node on the segment.
type WireGuardPeer struct {
	Node     string
	Key      WireGuardKey // public
	Endpoint netip.AddrPort
	// Allowed is what it may send from, and what is sent to it.
	Allowed []netip.Prefix
}

// wireguardPort is a port of UDP that no other interface of the node has.
func (p *planner) wireguardPort(at end) int {
	if was := p.network.nodes[at.node].ports[at.port].held; was != nil {
		return was.id
	}
	taken := map[int]bool{}
	for j, port := range p.network.nodes[at.node].ports {
		taken[p.plan.Nodes[at.node].Devices[j].ID] = true
		if port.held != nil {
			taken[port.held.id] = true
		}
	}
	for port := wireguardPort; ; port++ {
		if !taken[port] {
			return port
		}
	}
}

// planPeers plans who is whose peer, once all routes are known.
func (p *planner) planPeers() {
	for i, segment := range p.network.segments {
		if segment.overlay != wireguardOverlay {
			continue
		}
		all := make([]WireGuardPeer, len(p.ends[i]))
		for k, at := range p.ends[i] {
			node := &p.plan.Nodes[at.node]
			d := &node.Devices[at.port]
			all[k] = WireGuardPeer{node.Name, d.WireGuard.Key.Public(), netip.AddrPortFrom(d.Local, uint16(d.ID)), hostsOf(d.Addrs)}
		}
		for k, at := range p.ends[i] {
			own := &p.plan.Nodes[at.node].Devices[at.port]
			for other, peer := range all {
				if other != k {
					peer.Allowed = slices.Clone(peer.Allowed)
					own.WireGuard.Peers = append(own.WireGuard.Peers, peer)
				}
			}
			p.allowRoutes(at, own)
		}
	}
}

// hostsOf are the addresses alone.
func hostsOf(prefixes []netip.Prefix) (hosts []netip.Prefix) {
	for _, prefix := range prefixes {
		hosts = append(hosts, netip.PrefixFrom(prefix.Addr(), prefix.Addr().BitLen()))
	}
	return hosts
}

// allowRoutes allows each peer what the node has routes to by it. One destination is one
// peer's: the kernel takes it from one that gets it by another.
func (p *planner) allowRoutes(at end, own *DevicePlan) {
	taken := map[netip.Prefix]int{}
	for i, peer := range own.WireGuard.Peers {
		for _, allowed := range peer.Allowed {
			taken[allowed] = i
		}
	}
	for _, route := range byMetric(p.plan.Nodes[at.node].Routes) {
		for _, via := range waysBy(route, own.Name) {
			peer := slices.IndexFunc(own.WireGuard.Peers, func(peer WireGuardPeer) bool {
				return slices.Contains(peer.Allowed, netip.PrefixFrom(via, via.BitLen())) || !via.IsValid() && len(own.WireGuard.Peers) == 1
			})
			first, had := taken[route.To]
			switch {
			case peer < 0 && !via.IsValid():
				p.note("node %s: the route to %s by %s is no peer's: give it a gateway", p.nodeName(at.node), route.To, own.Name)
			case peer < 0, had && first == peer:
			case had:
				p.note("node %s: %s is allowed to peer %s of %s, and not to %s: a destination is one peer's", p.nodeName(at.node), route.To,
					shown(own.WireGuard.Peers[first].Node), own.Name, shown(own.WireGuard.Peers[peer].Node))
			default:
				taken[route.To] = peer
				own.WireGuard.Peers[peer].Allowed = append(own.WireGuard.Peers[peer].Allowed, route.To)
			}
		}
	}
}

// byMetric are routes, those that are preferred first.
func byMetric(routes []RoutePlan) []RoutePlan {
	sorted := slices.Clone(routes)
	slices.SortStableFunc(sorted, func(a, b RoutePlan) int { return a.Metric - b.Metric })
	return sorted
}

// waysBy are the gateways of a route by an interface: the zero Addr where it has none.
func waysBy(route RoutePlan, dev string) (ways []netip.Addr) {
	if route.Type == Unicast && route.Dev == dev && len(route.Hops) == 0 {
		ways = append(ways, route.Via)
	}
	for _, hop := range route.Hops {
		if hop.Dev == dev {
			ways = append(ways, hop.Via)
		}
	}
	return ways
}
