package probes

import (
	"bytes"
	"strings"
	"testing"
)

func TestSignature(t *testing.T) {
	t.Parallel()
	nonce, other := newNonce(), newNonce()
	answer, ok := answerTo(makeRequest(nonce), "tenant-3/server")
	if !ok {
		t.Fatal("its own request")
	}
	if by, ok := signer(answer, nonce); !ok || by != "tenant-3/server" {
		t.Errorf("signed by %q, %v", by, ok)
	}
	for what, text := range map[string][]byte{
		"an answer to another": answer,
		"no answer":            []byte("SSH-2.0-OpenSSH_9.2\r\n"),
		"its own request":      makeRequest(other),
		"nothing":              nil,
	} {
		if by, ok := signer(text, other); ok {
			t.Errorf("%s is signed by %q", what, by)
		}
	}
	for end := range answer {
		if by, ok := signer(answer[:end], nonce); ok {
			t.Errorf("%q is whole, and signed by %q", answer[:end], by)
		}
	}
	for what, text := range map[string][]byte{
		"cut short": makeRequest(nonce)[:requestSize-1], "a question of somebody else": []byte("GET / HTTP/1.1\r\n\r\n0123456789"), "nothing": nil,
	} {
		if answer, ok := answerTo(text, "b"); ok {
			t.Errorf("%s is answered: %q", what, answer)
		}
	}
}

// FuzzSignature: an answer is signed only when its nonce is the request's, and
// what a responder says is understood.
func FuzzSignature(f *testing.F) {
	nonce := [nonceSize]byte{1, 2, 3}
	answer, _ := answerTo(makeRequest(nonce), "b")
	f.Add(answer, "b")
	f.Add(makeRequest(nonce), "tenant-0/server")
	f.Fuzz(func(t *testing.T, text []byte, node string) {
		if by, ok := signer(text, nonce); ok && !bytes.Contains(text, []byte("01020300")) {
			t.Errorf("%q is signed by %q", text, by)
		}
		answer, ok := answerTo(text, node)
		if ok != (len(text) >= requestSize && bytes.HasPrefix(text, []byte(requestWord))) {
			t.Fatalf("%q is a request: %v", text, ok)
		}
		if !ok || strings.Contains(node, "\n") { // no node's name has white space
			return
		}
		if by, ok := signer(answer, [nonceSize]byte(text[len(requestWord):])); !ok || by != node {
			t.Errorf("%q is signed by %q, %v", answer, by, ok)
		}
	})
}
