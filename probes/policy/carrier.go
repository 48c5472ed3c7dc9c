package policy

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// carrier are the packets in which a tunnel of the node carries others, one way.
type carrier struct {
	protocol uint8
	from, to netip.Addr
	port     uint16 // the destination's; 0 where the protocol has none
}

// carriersOf are those of a node's tunnels, both ways.
func carriersOf(node *harness.Node, links []inspect.Link) (all []carrier) {
	plan, _ := node.Lab().Plan().Node(node.Name())
	if plan == nil {
		return nil
	}
	for _, l := range links {
		protocol, is := l.CarriedBy()
		d, _ := plan.Device(l.Name)
		if !is || d == nil {
			continue
		}
		own, far := l.Tunnel.Port, make([]netip.AddrPort, 0, len(d.Remotes))
		for _, addr := range d.Remotes {
			far = append(far, netip.AddrPortFrom(addr, own))
		}
		if d.WireGuard != nil {
			own = uint16(d.ID)
			for _, peer := range d.WireGuard.Peers {
				far = append(far, peer.Endpoint)
			}
		}
		for _, f := range far {
			all = append(all, carrier{protocol, d.Local, f.Addr(), f.Port()}, carrier{protocol, f.Addr(), d.Local, own})
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
