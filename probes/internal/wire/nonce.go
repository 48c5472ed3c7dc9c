package wire

import (
	"encoding/binary"
	"math/rand/v2"
)

// The first bytes of what a probe sends by UDP or TCP, and of a signed answer to it;
// the nonce follows, as it is in a request and in hexadecimal in an answer.
const (
	RequestWord = "nstest? "
	AnswerWord  = "nstest! "
)

// NonceSize is the length of a probe's nonce in bytes.
const NonceSize = 16

// MarkSize is how many bytes the nonces of a watch's echo requests have in common:
// what the kernel compares, so that it follows these packets and no others.
const MarkSize = 8

// Mark is what the nonces of a watch's echo requests begin with.
type Mark [MarkSize]byte

// NewMark is one that no other watch has.
func NewMark() (m Mark) {
	binary.NativeEndian.PutUint64(m[:], rand.Uint64())
	return m
}

// Nonce is a new flow's. An echo request's begins with the mark. A trace shows but
// four bytes of a datagram's, so there every byte is the flow's own.
func (m Mark) Nonce(protocol Protocol) (nonce [NonceSize]byte) {
	binary.NativeEndian.PutUint64(nonce[:], rand.Uint64())
	binary.NativeEndian.PutUint64(nonce[MarkSize:], rand.Uint64())
	if protocol.Marked() {
		copy(nonce[:], m[:])
	}
	return nonce
}
