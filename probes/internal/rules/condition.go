package rules

import (
	"encoding/binary"
	"math"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// Field is what of a packet a Condition asks for.
type Field int

const (
	FieldSourcePort Field = iota
	FieldDestinationPort
	FieldFlags // TCP's
	FieldType  // ICMP's
	FieldCode
	FieldState // conntrack's, a bit as in expr.CtStateBitNEW
	FieldMark
	FieldTTL
	FieldSourceKind // what the node's routes take an address for: RTN_LOCAL and so on
	FieldDestinationKind
	FieldSource // an address: see Asked.Addresses
	FieldDestination
)

// Asked is a number of a packet that is to be in one of some ranges.
type Asked struct {
	Field Field
	Mask  uint32 // the bits that count
	Among [][2]uint32
	// Addresses are the first and the last one of a range, in 16 bytes each, of which IPv4's are the first four.
	Addresses [2][]byte
	// Status are bits of conntrack's status of which one is as good as one of these states (IPS_SRC_NAT, IPS_DST_NAT).
	Status uint32
}

// Condition is what an extension of iptables asks for: all of it, or with Any one of it.
type Condition struct {
	Asks     []Asked
	Any, Not bool
	// Header is how many bytes of the upper header it reads: what ends before does not match.
	Header int
}

// Extension is a match of iptables, as far as it is read.
type Extension struct {
	Conditions []Condition
	// More says that it asks for more than these, which is not known.
	More bool
	by   Trait // what that may depend on
}

const everyBit = math.MaxUint32

// ReadMatch reads a match of iptables-nft; false for one that is known by its name alone.
func ReadMatch(x *expr.Match) (e Extension, ok bool) {
	switch info := x.Info.(type) {
	case *xt.Comment:
		return e, true
	case *xt.Tcp:
		const header = 20
		e.ports(info.SrcPorts, info.DstPorts, info.InvFlags&xt.TcpInvSrcPorts != 0, info.InvFlags&xt.TcpInvDestPorts != 0, header)
		if info.FlagsMask != 0 {
			flags := Asked{Field: FieldFlags, Mask: uint32(info.FlagsMask), Among: exactly(uint32(info.FlagsCmp))}
			e.asks(info.InvFlags&xt.TcpInvFlags != 0, header, flags)
		}
		if info.Option != 0 {
			e.More, e.by = true, Headers
		}
		return e, true
	case *xt.Udp:
		const header = 8
		e.ports(info.SrcPorts, info.DstPorts, info.InvFlags&xt.UdpInvSrcPorts != 0, info.InvFlags&xt.UdpInvDestPorts != 0, header)
		return e, true
	case *xt.AddrType:
		e.kind(FieldSourceKind, info.Source, info.InvertSource)
		e.kind(FieldDestinationKind, info.Dest, info.InvertDest)
		return e, true
	case *xt.AddrTypeV1:
		const notSource, notDestination, ofInterface = 1, 2, 4 | 8 // XT_ADDRTYPE_INVERT_SOURCE and so on
		e.kind(FieldSourceKind, info.Source, info.Flags&notSource != 0)
		e.kind(FieldDestinationKind, info.Dest, info.Flags&notDestination != 0)
		if info.Flags&ofInterface != 0 {
			return Extension{More: true}, true
		}
		return e, true
	}
	if asks, not, mask, is := conntrackInfo(x.Info); is {
		e.conntrack(asks, not, mask, xtUntracked)
		return e, true
	}
	return e, e.raw(x.Name, x.Rev, rawInfo(x.Info))
}

// conntrackInfo is what a match conntrack asks for, and what of it not; and states.
func conntrackInfo(info xt.InfoAny) (asks, not uint16, mask uint32, is bool) {
	switch info := info.(type) {
	case *xt.ConntrackMtinfo1:
		return info.MatchFlags, info.InvertFlags, uint32(info.StateMask), true
	case *xt.ConntrackMtinfo2:
		return info.MatchFlags, info.InvertFlags, uint32(info.StateMask), true
	case *xt.ConntrackMtinfo3:
		return info.MatchFlags, info.InvertFlags, uint32(info.StateMask), true
	}
	return 0, 0, 0, false
}

// rawInfo is what google/nftables did not read.
func rawInfo(info xt.InfoAny) []byte {
	if unknown, ok := info.(*xt.Unknown); ok {
		return *unknown
	}
	return nil
}

// raw reads what google/nftables does not.
func (e *Extension) raw(name string, revision uint32, raw []byte) bool {
	switch {
	case name == "multiport" && revision == 1:
		return e.multiport(raw)
	case (name == "icmp" || name == "icmp6") && len(raw) >= 4:
		e.icmp(name, raw)
	case name == "mark" && len(raw) >= 9: // struct xt_mark_mtinfo1: mark, mask, inverse
		e.asks(raw[8] != 0, 0, Asked{Field: FieldMark, Mask: nativeUint32(raw[4:]), Among: exactly(nativeUint32(raw))})
	case name == "state" && len(raw) >= 4: // struct xt_state_info
		e.conntrack(uint16(xt.ConntrackState), 0, nativeUint32(raw), expr.CtStateBitUNTRACKED)
	case name == "iprange" && revision == 1 && len(raw) > 4*union:
		e.ranges(raw)
	case (name == "ttl" || name == "hl") && len(raw) >= 2: // struct ipt_ttl_info: eq, ne, lt or gt; of what
		const most = 0xff
		than := uint32(raw[1])
		among := [][][2]uint32{{{than, than}}, {{than, than}}, {}, {}}
		if than > 0 {
			among[2] = [][2]uint32{{0, than - 1}}
		}
		if than < most {
			among[3] = [][2]uint32{{than + 1, most}}
		}
		if int(raw[0]) >= len(among) {
			return false
		}
		e.asks(raw[0] == 1, 0, Asked{Field: FieldTTL, Mask: everyBit, Among: among[raw[0]]})
	default:
		return false
	}
	return true
}

func exactly(n uint32) [][2]uint32 { return [][2]uint32{{n, n}} }

func (e *Extension) asks(not bool, header int, all ...Asked) {
	e.Conditions = append(e.Conditions, Condition{Asks: all, Not: not, Header: header})
}

// ports asks for both: also where all are meant, the header must be there.
func (e *Extension) ports(src, dst [2]uint16, notSrc, notDst bool, header int) {
	e.asks(false, header)
	for _, p := range []struct {
		field Field
		among [2]uint16
		not   bool
	}{{FieldSourcePort, src, notSrc}, {FieldDestinationPort, dst, notDst}} {
		if p.among != [2]uint16{0, math.MaxUint16} || p.not {
			e.asks(p.not, header, Asked{Field: p.field, Mask: everyBit, Among: [][2]uint32{{uint32(p.among[0]), uint32(p.among[1])}}})
		}
	}
}

// union is how long an address of either family is in structs of the kernel (union nf_inet_addr).
const union = 16

// ranges reads struct xt_iprange_mtinfo: the first and the last address of the source, and of the destination; flags.
func (e *Extension) ranges(raw []byte) {
	const source, destination, notSource, notDestination = 1, 2, 16, 32
	flags := raw[4*union]
	for _, r := range []struct {
		field   Field
		at      int
		is, not byte
	}{{FieldSource, 0, source, notSource}, {FieldDestination, 2 * union, destination, notDestination}} {
		if flags&r.is != 0 {
			first, last := raw[r.at:r.at+union], raw[r.at+union:r.at+2*union]
			e.asks(flags&r.not != 0, 0, Asked{Field: r.field, Mask: everyBit, Addresses: [2][]byte{first, last}})
		}
	}
}

// kind asks what routes take an address for, a bit each of the kernel's RTN_*.
func (e *Extension) kind(field Field, mask uint16, not bool) {
	if mask == 0 {
		return
	}
	asked := Asked{Field: field, Mask: everyBit}
	for kind := range uint32(16) {
		if mask&(1<<kind) != 0 {
			asked.Among = append(asked.Among, exactly(kind)...)
		}
	}
	e.asks(not, 0, asked)
}

// States of xt_conntrack.h that are no bits of conntrack's state.
const (
	xtSNAT      = 1 << 6
	xtDNAT      = 1 << 7
	xtUntracked = 1 << 8
)

// Status bits of a connection that was translated (nf_conntrack_common.h).
const (
	StatusSourceNAT      = 1 << 4
	StatusDestinationNAT = 1 << 5
)

// conntrack knows of states, of which untracked is the bit of one; all other conditions may hold or not.
func (e *Extension) conntrack(asks, not uint16, mask, untracked uint32) {
	const state = uint16(xt.ConntrackState) | uint16(xt.ConntrackStateAlias)
	e.More = asks&^state != 0
	if asks&uint16(xt.ConntrackOrigSrcPort) != 0 {
		e.by |= SourcePort
	}
	if asks&state == 0 {
		return
	}
	asked := Asked{Field: FieldState, Mask: everyBit}
	for bit := uint32(1); bit != 0; bit <<= 1 {
		switch {
		case mask&bit == 0:
		case bit == untracked:
			asked.Among = append(asked.Among, exactly(expr.CtStateBitUNTRACKED)...)
		case bit == xtSNAT:
			asked.Status |= StatusSourceNAT
		case bit == xtDNAT:
			asked.Status |= StatusDestinationNAT
		default:
			asked.Among = append(asked.Among, exactly(bit)...)
		}
	}
	e.asks(not&state != 0, 0, asked)
}

// multiport reads struct xt_multiport_v1; false for what is none. It asks for the source's port,
// the destination's, or either's.
func (e *Extension) multiport(raw []byte) bool {
	const most, flags, header = 15, 2 + 15*2, 4
	if len(raw) < flags+most+1 || raw[1] > most {
		return false
	}
	var among [][2]uint32
	for i := 0; i < int(raw[1]); i++ {
		from := binary.NativeEndian.Uint16(raw[2+2*i:])
		to := from
		if raw[flags+i] != 0 && i+1 < int(raw[1]) { // a range
			i++
			to = binary.NativeEndian.Uint16(raw[2+2*i:])
		}
		among = append(among, [2]uint32{uint32(from), uint32(to)})
	}
	c := Condition{Any: true, Not: raw[flags+most] != 0, Header: header}
	if raw[0] != 1 { // XT_MULTIPORT_DESTINATION
		c.Asks = append(c.Asks, Asked{Field: FieldSourcePort, Mask: everyBit, Among: among})
	}
	if raw[0] != 0 { // XT_MULTIPORT_SOURCE
		c.Asks = append(c.Asks, Asked{Field: FieldDestinationPort, Mask: everyBit, Among: among})
	}
	e.Conditions = append(e.Conditions, c)
	return true
}

// icmp reads struct ipt_icmp, and ip6t_icmp: type, code from and to, inverse.
func (e *Extension) icmp(name string, raw []byte) {
	const any, header = 0xff, 8
	if raw[0] == any && name == "icmp" {
		e.asks(raw[3]&1 != 0, header)
		return
	}
	e.asks(raw[3]&1 != 0, header,
		Asked{Field: FieldType, Mask: everyBit, Among: exactly(uint32(raw[0]))},
		Asked{Field: FieldCode, Mask: everyBit, Among: [][2]uint32{{uint32(raw[1]), uint32(raw[2])}}})
}
