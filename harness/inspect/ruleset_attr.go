package inspect

import (
	"encoding/binary"
	"iter"
	"strings"
)

// ruleAttrs are netlink attributes as nftables sends them: big-endian.
type ruleAttrs []byte

// all goes over them by type, without its flags; what is cut short ends it.
func (b ruleAttrs) all() iter.Seq2[int, ruleAttrs] {
	const header, typeMask = 4, 0x3fff
	return func(yield func(int, ruleAttrs) bool) {
		for len(b) >= header {
			size := int(binary.NativeEndian.Uint16(b))
			if size < header || size > len(b) {
				return
			}
			if !yield(int(binary.NativeEndian.Uint16(b[2:])&typeMask), b[header:size]) {
				return
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}

// first is the first attribute of that type, nil where there is none.
func (b ruleAttrs) first(kind int) ruleAttrs {
	for k, value := range b.all() {
		if k == kind {
			return value
		}
	}
	return nil
}

// uint32 is 0 for what is too short.
func (b ruleAttrs) uint32() uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

// uint64 is 0 for what is too short.
func (b ruleAttrs) uint64() uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// text is a string without the zero at its end.
func (b ruleAttrs) text() string {
	text, _, _ := strings.Cut(string(b), "\x00")
	return text
}
