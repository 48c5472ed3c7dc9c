package rules

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

func nativeUint32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

// lookup asks a set for a key, or a map for what it says of it.
func (e *evaluation) lookup(x *expr.Lookup) Answer {
	set := e.rule.Chain.Table.Sets[x.SetName]
	if set == nil {
		e.regs.forget()
		return Maybe
	}
	found, elements := find(set, e.regs.read(x.SourceRegister, set.KeyLen))
	by := e.regs.chosen(x.SourceRegister, set.KeyLen)
	if found == Maybe || x.IsDestRegSet && len(elements) > 1 {
		e.by |= by
	}
	if set.Dynamic || set.Updated || set.Stateful {
		found = Maybe // by the time it is asked
	}
	if x.IsDestRegSet {
		e.take(x.DestRegister, set, elements, found)
	}
	return found.invert(x.Invert)
}

// find says whether a set has a key, and which elements that may be. One that ends by itself
// may be gone by the time that it is asked.
func find(set *inspect.Set, key bits) (found Answer, elements []*inspect.Element) {
	found = No
	var all *inspect.Element
	for i := range set.Elements {
		element := &set.Elements[i]
		if element.CatchAll {
			all = element
			continue
		}
		is := inElement(set, element, key)
		if is == No {
			continue
		}
		if element.Expires {
			is = Maybe
		}
		elements = append(elements, element)
		if found = found.or(is); is == Yes {
			return Yes, []*inspect.Element{element}
		}
	}
	switch {
	case all == nil:
	case all.Expires:
		return Maybe, append(elements, all)
	default: // what no other element has
		return Yes, append(elements, all)
	}
	return found, elements
}

// inElement says whether a key is an element's: all bytes of it, or part by part in a
// concatenation of ranges.
func inElement(set *inspect.Set, e *inspect.Element, key bits) Answer {
	if e.End == nil {
		return key.equal(e.Key)
	}
	if len(set.Fields) == 0 {
		return key.within(e.Key, e.End)
	}
	result, at := Yes, 0
	for _, size := range set.Fields {
		if at+size > len(e.Key) || at+size > len(e.End) {
			return Maybe
		}
		result = result.and(key.sub(at, size).within(e.Key[at:at+size], e.End[at:at+size]))
		at += (size + 3) &^ 3
	}
	return result
}

// take puts what a map says into a register: of several elements nothing is known but
// which verdicts there may be.
func (e *evaluation) take(register uint32, set *inspect.Set, elements []*inspect.Element, found Answer) {
	if set.Updated || set.Dynamic {
		elements = nil
		for i := range set.Elements {
			elements = append(elements, &set.Elements[i])
		}
	}
	if set.Verdicts {
		for _, element := range elements {
			if element.Verdict != nil {
				e.verdicts = append(e.verdicts, *element.Verdict)
			}
		}
		return
	}
	if len(elements) == 1 && found == Yes {
		e.regs.load(register, knownBits(elements[0].Data...))
		return
	}
	e.regs.load(register, unknownBits(set.DataLen))
}
