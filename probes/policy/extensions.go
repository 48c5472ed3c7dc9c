package policy

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/nstest/nstest/probes/internal/rules"
)

// xtMatch is a condition of iptables-nft that nft has no words for.
func (c *compiler) xtMatch(x *expr.Match) {
	switch info := x.Info.(type) {
	case *xt.Comment:
		return
	case *xt.Tcp:
		c.portsOf(info.SrcPorts, info.DstPorts, info.InvFlags&xt.TcpInvSrcPorts != 0, info.InvFlags&xt.TcpInvDestPorts != 0)
		if info.FlagsMask != 0 {
			cells := fieldCells(fieldFlags, asBytes, 1)
			cells[0].mask = info.FlagsMask
			c.condition(cells, []byte{info.FlagsCmp}, info.InvFlags&xt.TcpInvFlags != 0)
		}
		if info.Option != 0 {
			c.unknown("a TCP option")
		}
		return
	case *xt.Udp:
		c.portsOf(info.SrcPorts, info.DstPorts, info.InvFlags&xt.UdpInvSrcPorts != 0, info.InvFlags&xt.UdpInvDestPorts != 0)
		return
	case *xt.ConntrackMtinfo1:
		c.conntrack(info.MatchFlags, info.InvertFlags, uint32(info.StateMask))
		return
	case *xt.ConntrackMtinfo2:
		c.conntrack(info.MatchFlags, info.InvertFlags, uint32(info.StateMask))
		return
	case *xt.ConntrackMtinfo3:
		c.conntrack(info.MatchFlags, info.InvertFlags, uint32(info.StateMask))
		return
	}
	if raw, ok := x.Info.(*xt.Unknown); ok && c.xtRaw(x.Name, x.Rev, *raw) {
		return
	}
	c.unknown("-m " + x.Name)
}

// xtRaw is one that google/nftables does not read; false where this does not either.
func (c *compiler) xtRaw(name string, revision uint32, raw []byte) bool {
	switch {
	case name == "multiport" && revision == 1:
		m, ok := rules.ReadMultiport(raw)
		if ok {
			c.multiport(m)
		}
		return ok
	case (name == "icmp" || name == "icmp6") && len(raw) >= 4: // struct ipt_icmp, ip6t_icmp: type, code from and to, inverse
		c.only(fieldHead, just(headWhole, headPorts))
		const any = 0xff
		if raw[0] == any && raw[3]&1 == 0 {
			return true
		}
		var b box
		b[fieldType] = just(uint64(raw[0]))
		b[fieldCode] = between(small(uint64(raw[1])), small(uint64(raw[2])))
		c.either(b, raw[3]&1 != 0)
		return true
	case name == "state" && len(raw) >= 4: // struct xt_state_info
		c.conntrack(uint16(xt.ConntrackState), 0, binary.NativeEndian.Uint32(raw))
		return true
	}
	return false
}

// either keeps a box, or all but it.
func (c *compiler) either(b box, not bool) {
	if not {
		c.meet(c.outside([]box{b}))
		return
	}
	c.meet([]box{b})
}

// condition keeps what is, or is not, equal.
func (c *compiler) condition(cells []cell, data []byte, not bool) {
	boxes, ok := c.boxOf(cells, data, data)
	switch {
	case !ok:
		c.unknown("an expression that is not modelled")
	case not:
		c.meet(c.outside(boxes))
	default:
		c.meet(boxes)
	}
}

func (c *compiler) portsOf(src, dst [2]uint16, notSrc, notDst bool) {
	c.only(fieldHead, just(headWhole))
	for f, p := range map[field][2]uint16{fieldSport: src, fieldDport: dst} {
		not := f == fieldSport && notSrc || f == fieldDport && notDst
		if p == [2]uint16{0, 0xffff} && !not {
			continue
		}
		var b box
		b[f] = between(small(uint64(p[0])), small(uint64(p[1])))
		c.either(b, not)
	}
}

// conntrack knows of states only.
func (c *compiler) conntrack(asks, not uint16, mask uint32) {
	const alias = uint16(xt.ConntrackStateAlias)
	const plain = 0x7f // without SNAT and DNAT
	if asks&^(uint16(xt.ConntrackState)|alias) != 0 || mask&^plain != 0 {
		c.unknown("-m conntrack")
	}
	if c.meets(early) {
		c.unknown("a state before connection tracking")
	}
	if asks&(uint16(xt.ConntrackState)|alias) == 0 || mask&^plain != 0 {
		return
	}
	states := none()
	for _, x := range c.domain[fieldState] {
		for n := x.first.lo; n <= x.last.lo; n++ {
			if uint32(n)&mask != 0 {
				states = append(states, just(n)...)
			}
		}
	}
	if not&(uint16(xt.ConntrackState)|alias) != 0 {
		states = c.domain[fieldState].without(states.tidy())
	}
	c.only(fieldState, states.tidy())
}

// multiport asks for ports: either's, where it is about both.
func (c *compiler) multiport(m rules.Multiport) {
	ports := none()
	for _, r := range m.Ranges {
		ports = append(ports, between(small(uint64(r[0])), small(uint64(r[1])))...)
	}
	ports = ports.tidy()
	var boxes []box
	if m.Source {
		boxes = append(boxes, box{fieldSport: ports})
	}
	if m.Destination {
		boxes = append(boxes, box{fieldDport: ports})
	}
	c.only(fieldHead, just(headWhole, headPorts))
	if m.Not {
		boxes = c.outside(boxes)
	}
	c.meet(boxes)
}

// xtTarget is what iptables-nft does that nft has no words for.
func (c *compiler) xtTarget(name string) {
	switch kind, known := rules.TargetVerdict(name); {
	case !known:
		c.unknown("-j " + name)
	case kind != expr.VerdictContinue:
		c.verdict(expr.Verdict{Kind: kind})
	}
}
