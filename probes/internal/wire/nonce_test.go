package wire

import (
	"bytes"
	"testing"
)

// The echo requests of one watch have their mark in common, and nothing else;
// datagrams have nothing in common.
func TestNonces(t *testing.T) {
	t.Parallel()
	m := NewMark()
	if m == NewMark() {
		t.Error("two watches have one mark")
	}
	for _, protocol := range []Protocol{ICMP, UDP, TCP} {
		a, b := m.Nonce(protocol), m.Nonce(protocol)
		if marked := bytes.Equal(a[:MarkSize], m[:]); marked != (protocol == ICMP) {
			t.Errorf("%d: begins with the mark: %v", protocol, marked)
		}
		if bytes.Equal(a[MarkSize:], b[MarkSize:]) || protocol != ICMP && bytes.Equal(a[:4], b[:4]) {
			t.Errorf("%d: twice the same: %x %x", protocol, a, b)
		}
	}
}
