package probes

import (
	"bytes"
	"encoding/hex"
	"strings"
	"sync"

	"github.com/nstest/nstest/harness"
)

// A request is "nstest?" and a nonce; a responder's answer is "nstest!", the
// nonce in hexadecimal, and the name of the node that it runs in, on one line.
// The nonce makes an answer one to this very request.
const (
	requestWord = "nstest? "
	answerWord  = "nstest! "
	requestSize = len(requestWord) + nonceSize
)

func makeRequest(nonce [nonceSize]byte) []byte {
	return append([]byte(requestWord), nonce[:]...)
}

// answerTo is a responder's answer; false for what is no request.
func answerTo(request []byte, node string) ([]byte, bool) {
	nonce, ok := bytes.CutPrefix(request, []byte(requestWord))
	if !ok || len(nonce) < nonceSize {
		return nil, false
	}
	return []byte(answerWord + hex.EncodeToString(nonce[:nonceSize]) + " " + node + "\n"), true
}

// signer is who signed an answer to the nonce; false when it is not signed, or
// not yet whole.
func signer(answer []byte, nonce [nonceSize]byte) (string, bool) {
	text, ok := strings.CutPrefix(string(answer), answerWord+hex.EncodeToString(nonce[:])+" ")
	if !ok {
		return "", false
	}
	name, _, whole := strings.Cut(text, "\n")
	return name, whole
}

// served is a port that a responder of a lab has, on whatever node.
type served struct {
	lab  *harness.Lab
	kind kind
	port uint16
}

// serving counts the responders of a port in a lab: only where there is one
// does a probe wait for a signature, since other services would be waiting for
// their own kind of request.
var serving struct {
	sync.Mutex
	count map[served]int
}

func countServed(s served, by int) {
	serving.Lock()
	defer serving.Unlock()
	if serving.count == nil {
		serving.count = map[served]int{}
	}
	if serving.count[s] += by; serving.count[s] == 0 {
		delete(serving.count, s)
	}
}

func isServed(s served) bool {
	serving.Lock()
	defer serving.Unlock()
	return serving.count[s] > 0
}
