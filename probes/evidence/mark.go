package evidence

import (
	"encoding/binary"
	"math/rand/v2"
)

// MarkSize is how many bytes the nonces of a watch's echo requests have in common:
// what the kernel compares, so that it follows these packets and no others.
const MarkSize = 8

type mark [MarkSize]byte

func newMark() (m mark) {
	binary.NativeEndian.PutUint64(m[:], rand.Uint64())
	return m
}

// nonce is a new flow's. An echo request's begins with the mark. A trace shows but
// four bytes of a datagram's, so there every byte is the flow's own.
func (m mark) nonce(protocol Protocol) (nonce [NonceSize]byte) {
	binary.NativeEndian.PutUint64(nonce[:], rand.Uint64())
	binary.NativeEndian.PutUint64(nonce[MarkSize:], rand.Uint64())
	if protocol == ICMP {
		copy(nonce[:], m[:])
	}
	return nonce
}
