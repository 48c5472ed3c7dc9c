package policy

import (
	"fmt"
	"slices"

	"github.com/google/nftables/expr"
)

// payload loads from a header.
func (c *compiler) payload(x *expr.Payload) {
	if x.OperationType == expr.PayloadWrite {
		return
	}
	at, n := int(x.Offset), int(x.Len)
	cells := make([]cell, n)
	for i := range cells {
		switch x.Base {
		case expr.PayloadBaseNetworkHeader:
			cells[i] = c.network(at + i)
		case expr.PayloadBaseTransportHeader:
			cells[i] = c.transport(at + i)
		case expr.PayloadBaseLLHeader:
			cells[i].told = true
		}
	}
	switch x.Base {
	case expr.PayloadBaseTransportHeader:
		c.there(at + n)
	case expr.PayloadBaseLLHeader:
		c.needs(linkNeed + " (" + frameWord(at) + ")")
	}
	c.written()
	c.regs.put(x.DestRegister, cells...)
}

// there keeps the packets that have so much of the upper header.
func (c *compiler) there(upTo int) { c.only(fieldHead, upperOf(upTo)) }

// upperOf is how much of the upper header there is where so many bytes of it are.
func upperOf(upTo int) set {
	const ports = 8
	if upTo <= ports {
		return just(headWhole, headPorts)
	}
	return just(headWhole)
}

// network is a byte of the IP header.
func (c *compiler) network(at int) cell {
	one := func(f field, at int) cell { return cell{kind: cellField, of: f, at: at, mask: 0xff} }
	src, dst := 12, 16
	if c.v6 {
		src, dst = 8, 24
	}
	size := addrSize(c.v6)
	switch {
	case at >= src && at < src+size:
		return one(fieldSrc, at-src)
	case at >= dst && at < dst+size:
		return one(fieldDst, at-dst)
	case !c.v6 && at == 8, c.v6 && at == 7:
		return one(fieldTTL, 0)
	case !c.v6 && at == 9:
		return one(fieldProto, 0)
	case c.v6 && at == 6:
		c.unknown("IPv6's next header, which may be an extension")
		return cell{kind: cellField, of: fieldProto, as: asNext, mask: 0xff}
	}
	return c.unmodelled(at)
}

// Protocols that have ports first, and ICMP's.
var (
	withPorts = just(protoTCP, protoUDP, protoDCCP, protoSCTP, protoLite)
	tcp       = just(protoTCP)
	icmp      = just(protoICMP, protoICMPv6)
)

// transport is a byte of the upper header, where the rule has asked for its protocol.
func (c *compiler) transport(at int) cell {
	one := func(f field, at int) cell { return cell{kind: cellField, of: f, at: at, mask: 0xff} }
	switch {
	case at == 13 && c.isOnly(tcp):
		return one(fieldFlags, 0)
	case at < 2 && c.isOnly(icmp):
		return one(fieldType+field(at), 0)
	case at < 4:
		port := one(fieldSport+field(at/2), at%2)
		port.loose = !c.isOnly(withPorts)
		return port
	}
	return cell{name: fmt.Sprintf("@th,%d,8", at*8)}
}

// isOnly says whether the packets so far have only such protocols.
func (c *compiler) isOnly(protocols set) bool { return areOnly(c.boxes, protocols) }

func areOnly(boxes []box, protocols set) bool {
	return !slices.ContainsFunc(boxes, func(b box) bool {
		return b[fieldProto] == nil || !b[fieldProto].without(protocols).isEmpty()
	})
}

// holds says whether boxes are what cells ask for: of ports, where they ask for the protocol as well.
func holds(cells []cell, boxes []box) bool {
	return areOnly(boxes, withPorts) || !slices.ContainsFunc(cells, func(c cell) bool { return c.loose })
}
