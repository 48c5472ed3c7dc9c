package rules

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// xtMatch is a condition of iptables-nft that nft has no words for.
func (e *evaluation) xtMatch(x *expr.Match) Answer {
	raw := rawInfo(x.Info)
	switch info := x.Info.(type) {
	case *xt.Comment:
		return Yes
	case *xt.Tcp:
		ports := e.ports(info.SrcPorts, info.DstPorts, info.InvFlags&xt.TcpInvSrcPorts != 0, info.InvFlags&xt.TcpInvDestPorts != 0)
		flags := Yes
		if info.FlagsMask != 0 {
			flags = e.transport.sub(13, 1).masked([]byte{info.FlagsMask}, nil).equal([]byte{info.FlagsCmp}).invert(info.InvFlags&xt.TcpInvFlags != 0)
		}
		if info.Option != 0 {
			flags = e.depends(flags.and(Maybe), Headers)
		}
		return e.whole(protoTCP).and(ports).and(flags)
	case *xt.Udp:
		return e.whole(protoUDP).and(e.ports(info.SrcPorts, info.DstPorts, info.InvFlags&xt.UdpInvSrcPorts != 0, info.InvFlags&xt.UdpInvDestPorts != 0))
	case *xt.ConntrackMtinfo1:
		return e.conntrack(info.MatchFlags, info.InvertFlags, uint32(info.StateMask))
	case *xt.ConntrackMtinfo2:
		return e.conntrack(info.MatchFlags, info.InvertFlags, uint32(info.StateMask))
	case *xt.ConntrackMtinfo3:
		return e.conntrack(info.MatchFlags, info.InvertFlags, uint32(info.StateMask))
	}
	switch {
	case x.Name == "multiport" && x.Rev == 1:
		if m, ok := ReadMultiport(raw); ok {
			return e.multiport(m)
		}
	case x.Name == "icmp" || x.Name == "icmp6":
		return e.xtICMP(x.Name, raw)
	case x.Name == "mark" && len(raw) >= 9: // struct xt_mark_mtinfo1
		mask := raw[4:8]
		return host32(e.mark).masked(mask, nil).equal(raw[:4]).invert(raw[8] != 0)
	case x.Name == "state" && len(raw) >= 4: // struct xt_state_info
		return e.conntrack(uint16(xt.ConntrackState), 0, nativeUint32(raw))
	case (x.Name == "ttl" || x.Name == "hl") && len(raw) >= 2: // struct ipt_ttl_info
		return e.depends(ttlIs(e.packet.TTL, int(raw[0]), raw[1]), TTL)
	}
	return e.depends(Maybe, matchTrait(x.Name, ownerGroups(rawInfo(x.Info)), e.packet))
}

// rawInfo is what google/nftables did not read.
func rawInfo(info xt.InfoAny) []byte {
	if unknown, ok := info.(*xt.Unknown); ok {
		return *unknown
	}
	return nil
}

// whole says whether the upper header is of that protocol; what a match reads of
// another is not known.
func (e *evaluation) whole(protocol uint8) Answer {
	if e.packet.is(protocol) == Yes {
		return Yes
	}
	return Maybe
}

// ports says whether both are in their ranges. A packet of unknown protocol has none
// that is known.
func (e *evaluation) ports(src, dst [2]uint16, notSrc, notDst bool) Answer {
	return e.port(0, src).invert(notSrc).and(e.port(2, dst).invert(notDst))
}

// port says whether the one at an offset is in a range.
func (e *evaluation) port(at int, among [2]uint16) Answer {
	if among == [2]uint16{0, 65535} {
		return Yes
	}
	by := SourcePort
	if at != 0 {
		by = 0
	}
	return e.depends(e.portWithin(at, among), by)
}

func (e *evaluation) portWithin(at int, among [2]uint16) Answer {
	return e.transport.sub(at, 2).within(binary.BigEndian.AppendUint16(nil, among[0]), binary.BigEndian.AppendUint16(nil, among[1]))
}

// conntrack knows of states only; all other conditions may hold or not.
func (e *evaluation) conntrack(asks, not uint16, mask uint32) Answer {
	const alias = uint16(xt.ConntrackStateAlias)
	const plain = 0x7f // without SNAT and DNAT
	result := Yes
	if asks&^(uint16(xt.ConntrackState)|alias) != 0 {
		result = Maybe
	}
	if asks&uint16(xt.ConntrackOrigSrcPort) != 0 {
		e.by |= SourcePort
	}
	if asks&(uint16(xt.ConntrackState)|alias) == 0 {
		return result
	}
	if e.packet.State == nil || !e.tracked() {
		return Maybe
	}
	has := answer(mask&*e.packet.State != 0)
	if has == No && mask&^plain != 0 {
		has = Maybe
	}
	return result.and(has.invert(not&(uint16(xt.ConntrackState)|alias) != 0))
}

// Multiport is iptables' match of that name.
type Multiport struct {
	// Source and Destination say whose port is to be in one of the ranges; with both, either's.
	Source, Destination bool
	Ranges              [][2]uint16
	Not                 bool
}

// ReadMultiport reads struct xt_multiport_v1; false for what is none.
func ReadMultiport(raw []byte) (m Multiport, ok bool) {
	const most, flags = 15, 2 + 15*2
	if len(raw) < flags+most+1 || raw[1] > most {
		return m, false
	}
	m.Source, m.Destination = raw[0] != 1, raw[0] != 0 // XT_MULTIPORT_SOURCE, _DESTINATION, _EITHER
	m.Not = raw[flags+most] != 0
	for i := 0; i < int(raw[1]); i++ {
		from := binary.NativeEndian.Uint16(raw[2+2*i:])
		to := from
		if raw[flags+i] != 0 && i+1 < int(raw[1]) { // a range
			i++
			to = binary.NativeEndian.Uint16(raw[2+2*i:])
		}
		m.Ranges = append(m.Ranges, [2]uint16{from, to})
	}
	return m, true
}

func (e *evaluation) multiport(m Multiport) Answer {
	result := No
	for _, r := range m.Ranges {
		if m.Source {
			result = result.or(e.port(0, r))
		}
		if m.Destination {
			result = result.or(e.port(2, r))
		}
	}
	there := Maybe
	if e.sureTransport >= 4 {
		there = Yes
	}
	return there.and(result.invert(m.Not))
}

// xtICMP is struct ipt_icmp, and ip6t_icmp: type, code from and to, inverse.
func (e *evaluation) xtICMP(name string, raw []byte) Answer {
	protocol, any := uint8(protoICMP), byte(0xff)
	if name == "icmp6" {
		protocol = protoICMPv6
	}
	if len(raw) < 4 || e.packet.is(protocol) != Yes {
		return Maybe
	}
	if raw[0] == any && protocol == protoICMP {
		return answer(raw[3]&1 == 0)
	}
	is := e.transport.sub(0, 1).equal(raw[:1]).and(e.transport.sub(1, 1).within(raw[1:2], raw[2:3]))
	return is.invert(raw[3]&1 != 0)
}

// xtTarget is what iptables-nft does that nft has no words for.
func (e *evaluation) xtTarget(x *expr.Target) Answer {
	switch targetEnds(x.Name) {
	case ends:
		e.decide(targetVerdict(x.Name))
	case mayEnd:
		e.decide(expr.VerdictAccept, expr.VerdictDrop)
	}
	return Yes
}

// How a target of iptables ends a packet's way through a chain.
const (
	goesOn = iota
	ends
	mayEnd
)

// targetEnds says how; of one that is not known all is possible.
func targetEnds(name string) int {
	switch name {
	case "", "LOG", "NFLOG", "ULOG", "TRACE", "MARK", "CONNMARK", "CLASSIFY", "DSCP", "TOS", "TTL", "HL", "TCPMSS", "TCPOPTSTRIP", "CT", "NOTRACK",
		"AUDIT", "CHECKSUM", "SECMARK", "CONNSECMARK", "SET", "TEE", "RATEEST", "LED", "HMARK", "IDLETIMER":
		return goesOn
	case "ACCEPT", "DROP", "REJECT", "SNAT", "DNAT", "MASQUERADE", "REDIRECT", "NETMAP":
		return ends
	}
	return mayEnd
}

// TargetVerdict is how a target of iptables ends a packet's way through a chain, to continue
// where it does not; false for one of which that is not known.
func TargetVerdict(name string) (kind expr.VerdictKind, known bool) {
	switch targetEnds(name) {
	case goesOn:
		return expr.VerdictContinue, true
	case ends:
		return targetVerdict(name), true
	}
	return 0, false
}

func targetVerdict(name string) expr.VerdictKind {
	if name == "DROP" || name == "REJECT" {
		return expr.VerdictDrop
	}
	return expr.VerdictAccept
}
