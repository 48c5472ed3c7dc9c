package inspect

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Tunnel is what an interface has whose packets travel inside others.
type Tunnel struct {
	// ID is the number that its packets have: a VNI, a key of GRE. 0 is none.
	ID uint32
	// Local and Remote are its ends: the zero Addr is any.
	Local, Remote netip.Addr
	// Port is the one of UDP at which VXLAN and Geneve take packets; 0 of others.
	Port uint16
}

// String is the tunnel as ip-link(8) has it; "" of no tunnel.
func (t Tunnel) String() string {
	if t == (Tunnel{}) {
		return ""
	}
	end := func(addr netip.Addr) string {
		if !addr.IsValid() {
			return "any"
		}
		return addr.String()
	}
	text := fmt.Sprintf("local %s remote %s", end(t.Local), end(t.Remote))
	if t.ID != 0 {
		text += fmt.Sprintf(" id %d", t.ID)
	}
	return text
}

// carriers are the protocols of the packets in which kinds of link carry others.
var carriers = map[string]uint8{
	"vxlan": unix.IPPROTO_UDP, "geneve": unix.IPPROTO_UDP, "wireguard": unix.IPPROTO_UDP, "gre": unix.IPPROTO_GRE, "ip6gre": unix.IPPROTO_GRE,
	"ipip": unix.IPPROTO_IPIP, "sit": unix.IPPROTO_IPV6,
}

// CarriedBy is the IP protocol of the packets in which an interface carries others; false where it carries none.
func (l Link) CarriedBy() (protocol uint8, is bool) {
	protocol, is = carriers[l.Kind]
	return protocol, is
}

func tunnelOf(link netlink.Link) Tunnel {
	switch link := link.(type) {
	case *netlink.Vxlan:
		return Tunnel{uint32(link.VxlanId), endOf(link.SrcAddr), endOf(link.Group), uint16(link.Port)}
	case *netlink.Geneve:
		return Tunnel{ID: link.ID, Remote: endOf(link.Remote), Port: link.Dport}
	case *netlink.Gretun:
		return Tunnel{ID: link.OKey, Local: endOf(link.Local), Remote: endOf(link.Remote)}
	case *netlink.Iptun:
		return Tunnel{Local: endOf(link.Local), Remote: endOf(link.Remote)}
	case *netlink.Sittun:
		return Tunnel{Local: endOf(link.Local), Remote: endOf(link.Remote)}
	}
	return Tunnel{}
}

// endOf is an end's address; the zero Addr where it is any.
func endOf(ip net.IP) netip.Addr {
	if addr := addrOf(ip); !addr.IsUnspecified() {
		return addr
	}
	return netip.Addr{}
}
