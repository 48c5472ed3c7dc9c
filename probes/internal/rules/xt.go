package rules

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
)

// xtMatch is a condition of iptables-nft that nft has no words for.
func (e *evaluation) xtMatch(x *expr.Match) Answer {
	extension, ok := ReadMatch(x)
	if !ok {
		return e.depends(Maybe, matchTrait(x.Name, ownerGroups(rawInfo(x.Info)), e.packet))
	}
	result := Yes
	for _, c := range extension.Conditions {
		result = result.and(e.condition(c))
	}
	if extension.More {
		result = e.depends(result.and(Maybe), extension.by)
	}
	return result
}

// condition says whether what an extension asks for holds.
func (e *evaluation) condition(c Condition) Answer {
	result := answer(!c.Any)
	for _, asked := range c.Asks {
		if is := e.asked(asked); c.Any {
			result = result.or(is)
		} else {
			result = result.and(is)
		}
	}
	there := Maybe
	if e.sureTransport >= c.Header {
		there = Yes
	}
	return there.and(result.invert(c.Not))
}

// asked says whether a number is in one of its ranges.
func (e *evaluation) asked(a Asked) Answer {
	if a.Field == FieldSource || a.Field == FieldDestination {
		return e.inRange(a)
	}
	data, by := e.number(a.Field)
	size := len(data.value)
	bytesOf := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n)[4-size:] }
	data = data.masked(bytesOf(a.Mask), nil)
	result := No
	for _, among := range a.Among {
		is := data.within(bytesOf(among[0]), bytesOf(among[1]))
		if among[0] == among[1] {
			is = data.equal(bytesOf(among[0]))
		}
		result = result.or(is)
	}
	if a.Status != 0 && result == No {
		result = Maybe
	}
	return e.depends(result, by)
}

// inRange says whether an address of the packet is in a range.
func (e *evaluation) inRange(a Asked) Answer {
	at, size := 12, 4
	switch e.packet.family() {
	case 0:
		return Maybe
	case 6:
		at, size = 8, union
	}
	if a.Field == FieldDestination {
		at += size
	}
	return e.network.sub(at, size).within(a.Addresses[0][:size], a.Addresses[1][:size])
}

// number is a field of the packet, in the network's order, and which choice of a program it is.
func (e *evaluation) number(f Field) (bits, Trait) {
	switch f {
	case FieldSourcePort:
		return e.transport.sub(0, 2), SourcePort
	case FieldDestinationPort:
		return e.transport.sub(2, 2), 0
	case FieldFlags:
		return e.transport.sub(13, 1), 0
	case FieldType:
		return e.transport.sub(0, 1), 0
	case FieldCode:
		return e.transport.sub(1, 1), 0
	case FieldTTL:
		return one8(e.packet.TTL), TTL
	case FieldMark:
		return networkOrder(host32(e.mark)), 0
	case FieldState:
		if e.tracked() {
			return networkOrder(host32(e.packet.State)), 0
		}
	}
	return unknownBits(4), 0
}

// networkOrder is a number that was in the machine's.
func networkOrder(b bits) bits {
	if bigEndian {
		return b
	}
	return b.swapped(len(b.value))
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
