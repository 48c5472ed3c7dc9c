package policy

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// carrier are the packets in which a tunnel of the node carries others, one way.
type carrier struct {
	protocol uint8
	from, to netip.Addr
	port     uint16 // the destination's; 0 where the protocol has none
}

// tunnels are the kinds of links that carry packets in others, by the kernel's words, with what those are told by.
var tunnels = map[string]struct {
	protocol uint8
	port     uint16
}{
	"vxlan":     {unix.IPPROTO_UDP, 4789},
	"geneve":    {unix.IPPROTO_UDP, 6081},
	"gre":       {protocol: unix.IPPROTO_GRE},
	"ip6gre":    {protocol: unix.IPPROTO_GRE},
	"ipip":      {protocol: unix.IPPROTO_IPIP},
	"sit":       {protocol: unix.IPPROTO_IPV6},
	"wireguard": {protocol: unix.IPPROTO_UDP},
}

// carriersOf are those of a node's tunnels, both ways.
func carriersOf(node *harness.Node) (all []carrier) {
	plan, _ := node.Lab().Plan().Node(node.Name())
	if plan == nil {
		return nil
	}
	for i := range plan.Devices {
		d := &plan.Devices[i]
		kind, is := tunnels[d.Kind]
		if !is {
			continue
		}
		own, far := kind.port, make([]netip.AddrPort, 0, len(d.Remotes))
		for _, addr := range d.Remotes {
			far = append(far, netip.AddrPortFrom(addr, kind.port))
		}
		if d.WireGuard != nil {
			own = uint16(d.ID)
			for _, peer := range d.WireGuard.Peers {
				far = append(far, peer.Endpoint)
			}
		}
		for _, f := range far {
			all = append(all, carrier{kind.protocol, d.Local, f.Addr(), f.Port()}, carrier{kind.protocol, f.Addr(), d.Local, own})
		}
	}
	return all
}

// allowed are the addresses of a family from which a node takes packets of another node by an interface: nil for any.
func allowed(node, peer *harness.Node, link string, v6 bool) set {
	plan, _ := node.Lab().Plan().Node(node.Name())
	d, _ := plan.Device(link)
	if d == nil || d.WireGuard == nil {
		return nil
	}
	made := none()
	for _, p := range d.WireGuard.Peers {
		for _, prefix := range p.Allowed {
			if p.Node == peer.Name() && prefix.Addr().Is6() == v6 {
				made = made.or(prefixSet(prefix))
			}
		}
	}
	return made
}

// passCarriers lets what carries packets of tunnels through a chain of ours, and over IPv6 what finds neighbours.
func passCarriers(c *nftables.Conn, chain *nftables.Chain, carriers []carrier) {
	pass := func(match []expr.Any) {
		c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: append(match, &expr.Verdict{Kind: expr.VerdictAccept})})
	}
	v6 := false
	for i := range carriers {
		pass(carriers[i].matches())
		v6 = v6 || carriers[i].to.Is6()
	}
	if v6 {
		const solicitation, advertisement = 135, 136
		for _, kind := range []byte{solicitation, advertisement} {
			pass(append(protocolIs(unix.NFPROTO_IPV6, unix.IPPROTO_ICMPV6), transportIs(0, []byte{kind})...))
		}
	}
}

// matches are the expressions of a rule for it.
func (c *carrier) matches() []expr.Any {
	family, at := byte(unix.NFPROTO_IPV4), uint32(12)
	if c.from.Is6() {
		family, at = unix.NFPROTO_IPV6, 8
	}
	made := protocolIs(family, c.protocol)
	ends := append(c.from.AsSlice(), c.to.AsSlice()...)
	for _, part := range [][]byte{ends[:len(ends)/2], ends[len(ends)/2:]} {
		made = append(made,
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: at, Len: uint32(len(part))},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: part})
		at += uint32(len(part))
	}
	if c.port != 0 {
		made = append(made, transportIs(2, binary.BigEndian.AppendUint16(nil, c.port))...)
	}
	return made
}

func protocolIs(family, protocol byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
	}
}

func transportIs(offset uint32, data []byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: uint32(len(data))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data},
	}
}
