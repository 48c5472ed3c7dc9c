package rules

import (
	"bytes"
	"encoding/binary"
)

// bits are bytes of which some bits are known.
type bits struct {
	value, known []byte
}

// unknownBits are n bytes of which nothing is known.
func unknownBits(n int) bits { return bits{make([]byte, n), make([]byte, n)} }

// knownBits are those bytes.
func knownBits(value ...byte) bits {
	return bits{value, bytes.Repeat([]byte{0xff}, len(value))}
}

// host32 and host16 are numbers as the kernel keeps them in a register, net16 as they
// stand in a packet; nil is not known.
func host32(n *uint32) bits {
	if n == nil {
		return unknownBits(4)
	}
	return knownBits(binary.NativeEndian.AppendUint32(nil, *n)...)
}

func net16(n *uint16) bits {
	if n == nil {
		return unknownBits(2)
	}
	return knownBits(binary.BigEndian.AppendUint16(nil, *n)...)
}

func one8(n *uint8) bits {
	if n == nil {
		return unknownBits(1)
	}
	return knownBits(*n)
}

// put writes them over others from an offset on.
func (b bits) put(at int, from bits) {
	copy(b.value[at:], from.value)
	copy(b.known[at:], from.known)
}

// sub is a part; what is beyond the end is not known.
func (b bits) sub(at, n int) bits {
	part := unknownBits(n)
	if at < len(b.value) {
		copy(part.value, b.value[at:])
		copy(part.known, b.known[at:])
	}
	return part
}

// masked is (value & mask) ^ xor: a bit that the mask clears is known.
func (b bits) masked(mask, xor []byte) bits {
	made := unknownBits(len(b.value))
	for i := range made.value {
		var m, x byte
		if i < len(mask) {
			m = mask[i]
		}
		if i < len(xor) {
			x = xor[i]
		}
		made.known[i] = b.known[i] | ^m
		made.value[i] = (b.value[i]&m ^ x) & made.known[i]
	}
	return made
}

// swapped turns around each group of size bytes.
func (b bits) swapped(size int) bits {
	made := bits{bytes.Clone(b.value), bytes.Clone(b.known)}
	for i := 0; i+size <= len(b.value); i += size {
		for j := range size {
			made.value[i+j], made.known[i+j] = b.value[i+size-1-j], b.known[i+size-1-j]
		}
	}
	return made
}

// equal says whether they are those bytes.
func (b bits) equal(data []byte) Answer {
	result := Yes
	for i := range min(len(data), len(b.value)) {
		if (b.value[i]^data[i])&b.known[i] != 0 {
			return No
		}
		if b.known[i] != 0xff {
			result = Maybe
		}
	}
	return result
}

// bounds are the lowest and the highest that they can be.
func (b bits) bounds() (low, high []byte) {
	low, high = make([]byte, len(b.value)), make([]byte, len(b.value))
	for i := range b.value {
		low[i] = b.value[i] & b.known[i]
		high[i] = low[i] | ^b.known[i]
	}
	return low, high
}

// within says whether they are from first to last, as the kernel compares: byte by byte.
func (b bits) within(first, last []byte) Answer {
	return b.atLeast(first).and(b.atMost(last))
}

func (b bits) atLeast(data []byte) Answer {
	low, high := b.bounds()
	n := min(len(data), len(low))
	if bytes.Compare(low[:n], data[:n]) >= 0 {
		return Yes
	}
	if bytes.Compare(high[:n], data[:n]) < 0 {
		return No
	}
	return Maybe
}

func (b bits) atMost(data []byte) Answer {
	low, high := b.bounds()
	n := min(len(data), len(low))
	if bytes.Compare(high[:n], data[:n]) <= 0 {
		return Yes
	}
	if bytes.Compare(low[:n], data[:n]) > 0 {
		return No
	}
	return Maybe
}
