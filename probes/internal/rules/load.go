package rules

import (
	"slices"

	"github.com/google/nftables/expr"
)

const nextHeader = 6 // where IPv6 has it

// payload loads from a header, or writes to it: what is beyond the header's end may not
// be there, and then the rule stops.
func (e *evaluation) payload(x *expr.Payload) Answer {
	header, sure := bits{}, 0
	switch x.Base {
	case expr.PayloadBaseNetworkHeader:
		header, sure = e.network, e.sureNetwork
	case expr.PayloadBaseTransportHeader:
		header, sure = e.transport, e.sureTransport
	}
	at, n := int(x.Offset), int(x.Len)
	there := Maybe
	if at+n <= sure {
		there = Yes
	}
	if x.OperationType == expr.PayloadWrite {
		if at+n <= len(header.value) {
			header.put(at, e.regs.read(x.SourceRegister, n))
		}
		return there
	}
	e.regs.load(x.DestRegister, header.sub(at, n))
	e.regs.choose(x.DestRegister, n, func(i int) Trait { return e.payloadTrait(x.Base, at+i) })
	if x.Base == expr.PayloadBaseNetworkHeader && at <= nextHeader && nextHeader < at+n {
		e.next = true
	}
	return e.depends(there, e.payloadTrait(x.Base, at+n-1)&(Headers|Content))
}

// meta loads what the kernel knows of a packet, or sets it.
func (e *evaluation) meta(x *expr.Meta) Answer {
	if x.SourceRegister {
		if x.Key == expr.MetaKeyMARK {
			e.mark = nil
			e.by |= e.regs.chosen(x.Register, 4)
			if data := e.regs.read(x.Register, 4); data.equal(data.value) == Yes {
				e.mark = new(nativeUint32(data.value))
			}
		}
		return Yes
	}
	data, there := e.metaData(x.Key)
	e.regs.load(x.Register, data)
	by := e.metaTrait(x.Key)
	e.regs.choose(x.Register, len(data.value), func(int) Trait { return by })
	return e.depends(there, by)
}

// metaData is what a key loads, and whether it can.
func (e *evaluation) metaData(key expr.MetaKey) (bits, Answer) {
	p := e.packet
	switch key {
	case expr.MetaKeyMARK:
		return host32(e.mark), Yes
	case expr.MetaKeyL4PROTO:
		there := Yes
		if p.family() == 0 || p.Protocol == nil {
			there = Maybe
		}
		return one8(p.Protocol), there
	case expr.MetaKeyNFPROTO, expr.MetaKeyPROTOCOL:
		return e.family8(key), Yes
	case expr.MetaKeyLEN:
		if p.Length == nil || !e.layer3() {
			return unknownBits(4), Yes
		}
		return host32(new(uint32(*p.Length))), Yes
	case expr.MetaKeyIIF, expr.MetaKeyIIFNAME:
		return e.device(key == expr.MetaKeyIIFNAME, p.In, e.knows("prerouting", "input", "forward", "ingress"), e.knows("output", "egress"))
	case expr.MetaKeyOIF, expr.MetaKeyOIFNAME:
		return e.device(key == expr.MetaKeyOIFNAME, p.Out, e.knows("forward", "output", "postrouting", "egress"), e.knows("prerouting", "input", "ingress"))
	case expr.MetaKeySKUID:
		return e.socketOwner(p.UID)
	case expr.MetaKeySKGID:
		return e.socketOwner(p.GID)
	case expr.MetaKeyNFTRACE, expr.MetaKeyPKTTYPE, expr.MetaKeyCPU, expr.MetaKeyPRIORITY, expr.MetaKeyPRANDOM:
		return unknownBits(4), Yes
	}
	return unknownBits(16), Maybe
}

// layer3 says whether the chain is of those that meet IP packets alone, at IP's hooks.
func (e *evaluation) layer3() bool {
	return slices.Contains([]string{"ip", "ip6", "inet"}, e.rule.Chain.Table.Family) && e.hook != "ingress"
}

// family8 is the packet's family, as netfilter or as Ethernet numbers it.
func (e *evaluation) family8(key expr.MetaKey) bits {
	const v4, v6 = 2, 10 // NFPROTO_IPV4, NFPROTO_IPV6
	family := e.packet.family()
	switch {
	case family == 0:
		return unknownBits(4)
	case key == expr.MetaKeyPROTOCOL && family == 4:
		return net16(new(uint16(0x0800)))
	case key == expr.MetaKeyPROTOCOL:
		return net16(new(uint16(0x86dd)))
	case !slices.Contains([]string{"ip", "ip6", "inet"}, e.rule.Chain.Table.Family):
		return unknownBits(4)
	case family == 4:
		return knownBits(v4)
	}
	return knownBits(v6)
}

// knows says whether it is at one of the hooks, as far as the hook is known.
func (e *evaluation) knows(hooks ...string) bool { return slices.Contains(hooks, e.hook) }

// device is an interface's name or index. Where the hook has none the kernel says "" and
// 0, or stops the rule, by its version.
func (e *evaluation) device(name bool, i Interface, there, absent bool) (bits, Answer) {
	const nameSize = 16 // IFNAMSIZ
	switch {
	case absent && name:
		return knownBits(make([]byte, nameSize)...), Maybe
	case absent:
		return knownBits(0, 0, 0, 0), Maybe
	case !there, name && i.Name == "":
		return unknownBits(nameSize), Maybe
	case name:
		return knownBits(append([]byte(i.Name), make([]byte, nameSize-min(nameSize, len(i.Name)))...)...), Yes
	case i.Index == 0:
		return unknownBits(4), Maybe
	}
	return host32(new(uint32(i.Index))), Yes
}

// socketOwner is the user or group of the packet's socket; the rule stops where it has none.
func (e *evaluation) socketOwner(id *uint32) (bits, Answer) {
	switch {
	case e.packet.Foreign && e.knows("prerouting", "forward", "postrouting", "ingress"):
		return unknownBits(4), No
	case id != nil && e.knows("output"):
		return host32(id), Yes
	}
	return unknownBits(4), Maybe
}

// ct loads what connection tracking knows, or sets it.
func (e *evaluation) ct(x *expr.Ct) Answer {
	if x.SourceRegister {
		return Yes
	}
	state := e.packet.State
	if !e.tracked() {
		state = nil
	}
	switch {
	case x.Key == expr.CtKeySTATE:
		e.regs.load(x.Register, host32(state))
		return Yes
	case x.Key == expr.CtKeyDIRECTION && state != nil && *state == expr.CtStateBitNEW:
		e.regs.load(x.Register, knownBits(0)) // the original
		return Yes
	}
	e.regs.load(x.Register, unknownBits(16))
	if x.Key == expr.CtKeyPROTOSRC {
		e.regs.choose(x.Register, 2, func(int) Trait { return SourcePort })
	}
	return Maybe
}

// tracked says whether connection tracking has seen the packet before the chain, so far
// as a chain tells.
func (e *evaluation) tracked() bool { return e.layer3() && !BeforeTracking(e.rule.Chain) }
