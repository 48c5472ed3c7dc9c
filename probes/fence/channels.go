package fence

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

const (
	quic = 443
	dns  = 53
	web  = 80
	// payload is what an echo request carries, in bytes, where it is to smuggle.
	payload = 512
)

// Protocols that firewalls seldom speak of.
const (
	gre          = unix.IPPROTO_GRE
	sctp         = unix.IPPROTO_SCTP
	experimental = 253 // RFC 3692
)

// channels is the only list.
var channels = []channel{
	{"icmp", outward(packet{protocol: wire.ICMP, size: payload})},
	{"icmp6", outward(packet{protocol: wire.ICMP, size: payload, v6: true})},
	{"tcp", func(c *check) (Finding, error) {
		return c.outward(packet{protocol: wire.TCP, port: c.world.tcp()})
	}},
	{"tcp6", func(c *check) (Finding, error) {
		return c.outward(packet{protocol: wire.TCP, port: c.world.tcp(), v6: true})
	}},
	{"udp", func(c *check) (Finding, error) {
		return c.outward(packet{protocol: wire.UDP, port: c.world.udp()})
	}},
	{"udp6", func(c *check) (Finding, error) {
		return c.outward(packet{protocol: wire.UDP, port: c.world.udp(), v6: true})
	}},
	{"quic", outward(packet{protocol: wire.UDP, port: quic})},
	{"quic6", outward(packet{protocol: wire.UDP, port: quic, v6: true})},
	{"foreign dns", outward(packet{protocol: wire.UDP, port: dns})},
	{"foreign dns6", outward(packet{protocol: wire.UDP, port: dns, v6: true})},
	{"foreign dns by tcp", outward(packet{protocol: wire.TCP, port: dns})},
	{"own dns", toAddr("the world names no resolver", func(w World) netip.Addr { return w.Resolver }, packet{protocol: wire.UDP, port: dns})},
	{"own dns by tcp", toAddr("the world names no resolver", func(w World) netip.Addr { return w.Resolver }, packet{protocol: wire.TCP, port: dns})},
	{"metadata", toAddr("the world names no metadata service", func(w World) netip.Addr { return w.Metadata }, packet{protocol: wire.TCP, port: web})},
	{"private", toAddr("the world names no private address", func(w World) netip.Addr { return w.Private }, packet{protocol: wire.TCP, port: web})},
	{"gre", outward(packet{other: gre})},
	{"sctp", outward(packet{other: sctp})},
	{"any protocol", outward(packet{other: experimental})},
	{"any protocol6", outward(packet{other: experimental, v6: true})},
	{"spoofed source", outward(packet{protocol: wire.UDP, port: dns, source: spoofed4})},
	{"spoofed source6", outward(packet{protocol: wire.UDP, port: dns, source: spoofed6, v6: true})},
	{"second address", func(c *check) (Finding, error) { return c.secondAddress() }},
	{"spoofed mac", func(c *check) (Finding, error) { return c.spoofedMAC() }},
	{"gateway", toNode("the world names no gateway", gateway, packet{protocol: wire.TCP, port: web})},
	{"gateway6", toNode("the world names no gateway", gateway, packet{protocol: wire.TCP, port: web, v6: true})},
	{"gateway by udp", toNode("the world names no gateway", gateway, packet{protocol: wire.UDP, port: dns})},
	{"sibling", func(c *check) (Finding, error) { return c.siblingTCP() }},
	{"sibling by link-local address", func(c *check) (Finding, error) { return c.siblingLinkLocal() }},
	{"sibling by arp", func(c *check) (Finding, error) { return c.siblingARP() }},
	{"proxy", func(c *check) (Finding, error) { return c.proxy() }},
	{"older connection", func(c *check) (Finding, error) { return c.older() }},
	{"unix socket", func(c *check) (Finding, error) { return c.sockets() }},
	{"abstract socket", func(c *check) (Finding, error) { return c.abstract() }},
}

// Addresses that nobody has: RFC 5737, RFC 3849.
var (
	spoofed4 = netip.MustParseAddr("192.0.2.66")
	spoofed6 = netip.MustParseAddr("2001:db8:66::66")
)

func gateway(w World) *harness.Node { return w.Gateway }

// outward is a channel to where the Internet is.
func outward(p packet) func(*check) (Finding, error) {
	return func(c *check) (Finding, error) { return c.outward(p) }
}

func (c *check) outward(p packet) (Finding, error) { return c.ask(c.world.Outside, p) }

// toNode is a channel to a node of the world's, at any of its addresses: it is blocked where it is at
// the nearest, and nothing arrives at the others.
func toNode(without string, of func(World) *harness.Node, p packet) func(*check) (Finding, error) {
	return func(c *check) (Finding, error) {
		node := of(c.world)
		if node == nil {
			return absent(without)
		}
		f, err := c.ask(node, p)
		if err != nil || f.State != Blocked || c.apart(c.sandbox, node) {
			return f, err
		}
		return c.elsewhere(f, node, p)
	}
}

// elsewhere is the finding of a node that is blocked at its nearest address: Open where a packet
// arrives at another.
func (c *check) elsewhere(blocked Finding, node *harness.Node, p packet) (Finding, error) {
	nearest, _ := addrOf(c.sandbox, node, p.v6)
	for _, p.to = range node.Addrs() {
		if p.to == nearest || p.to.Is6() != p.v6 || p.to.IsLinkLocalUnicast() {
			continue
		}
		got, err := c.send(c.sandbox, node, p)
		if err != nil {
			return Finding{}, err
		}
		if got.arrived {
			return arrived(node, p.to), nil
		}
	}
	return blocked, nil
}

// toAddr is a channel to an address, whoever has it.
func toAddr(without string, of func(World) netip.Addr, p packet) func(*check) (Finding, error) {
	return func(c *check) (Finding, error) {
		if p.to = of(c.world); !p.to.IsValid() {
			return absent(without)
		}
		return c.ask(nil, p)
	}
}
