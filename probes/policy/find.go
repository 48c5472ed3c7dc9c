package policy

import (
	"net/netip"
	"slices"
	"strconv"
)

// Find is the class that a packet is in, and its flow; nil where it is in none: none of the node's zones sends or gets
// such. A packet says at least by which interface it comes, from whom, to whom and of which protocol; one without a State begins
// a connection. By which interface it leaves is for the node's routes to say. It is told by conditions alone, so that a Policy that was read from JSON
// finds it, too.
func (p Policy) Find(packet Packet) (*Flow, *Class) {
	for _, rest := range []bool{false, true} {
		for i := range p.Flows {
			f := &p.Flows[i]
			for j := range f.Classes {
				c := &f.Classes[j]
				if c.Rest == rest && slices.ContainsFunc(c.Parts, func(p Part) bool { return p.Has(packet) }) {
					return f, c
				}
			}
		}
	}
	return nil, nil
}

// Has says whether a packet meets all conditions of a part.
func (p Part) Has(packet Packet) bool {
	if packet.Source.Addr().Is6() != p.IPv6 {
		return false
	}
	for i := range p.Conditions {
		if c := &p.Conditions[i]; c.Field != fieldWords[fieldOut] && !c.has(p.valueOf(c.Field, packet)) {
			return false
		}
	}
	return true
}

// valueOf is what a packet has in a field, as conditions have it.
func (p *Part) valueOf(of string, packet Packet) string {
	number := func(n uint8) string { return strconv.Itoa(int(n)) }
	switch field(slices.Index(fieldWords[:], of)) {
	case fieldIn:
		return packet.In
	case fieldSrc:
		return packet.Source.Addr().String()
	case fieldDst:
		return packet.Destination.Addr().String()
	case fieldProto:
		return number(packet.Protocol)
	case fieldSport:
		return strconv.Itoa(int(packet.Source.Port()))
	case fieldDport:
		return strconv.Itoa(int(packet.Destination.Port()))
	case fieldType:
		return number(packet.Type)
	case fieldCode:
		return number(packet.Code)
	case fieldFlags:
		return number(packet.Flags)
	case fieldState:
		if packet.State == "" {
			return stateWords[stateNew]
		}
		return packet.State
	case fieldTTL:
		return strconv.Itoa(int(packet.TTL) - p.hops())
	case fieldHead:
		switch {
		case !packet.Short:
			return lengthWords[headWhole]
		case packet.Destination.Port() != 0:
			return lengthWords[headPorts]
		}
		return lengthWords[headNone]
	}
	return "0" // the mark
}

// hops is how many TTLs a packet has lost where it is filtered: who is forwarded, one.
func (p *Part) hops() int {
	for _, c := range p.Conditions {
		if (c.Field == fieldWords[fieldIn] || c.Field == fieldWords[fieldOut]) && c.has("") {
			return 0
		}
	}
	return 1
}

// has says whether a value is in one of the ranges.
func (c *Condition) has(value string) bool {
	return slices.ContainsFunc(c.Ranges, func(r [2]string) bool {
		if r[0] == value || r[1] == value {
			return true
		}
		if n, err := strconv.Atoi(value); err == nil {
			first, err1 := strconv.Atoi(r[0])
			last, err2 := strconv.Atoi(r[1])
			return err1 == nil && err2 == nil && first <= n && n <= last
		}
		addr, err := netip.ParseAddr(value)
		first, err1 := netip.ParseAddr(r[0])
		last, err2 := netip.ParseAddr(r[1])
		return err == nil && err1 == nil && err2 == nil && first.Compare(addr) <= 0 && addr.Compare(last) <= 0
	})
}
