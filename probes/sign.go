package probes

import (
	"bytes"
	"encoding/hex"
	"maps"
	"slices"
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

// service is a port that a responder has.
type service struct {
	node  string
	probe Probe
}

// serving are the responders of each lab: only where there is one does a probe wait
// for a signature, since other services would be waiting for their own kind of
// request.
var serving struct {
	sync.Mutex
	of map[*harness.Lab]map[service]bool
}

// began notes a responder, and returns what ends it.
func began(lab *harness.Lab, s service) (ended func()) {
	serving.Lock()
	defer serving.Unlock()
	if serving.of == nil {
		serving.of = map[*harness.Lab]map[service]bool{}
	}
	if serving.of[lab] == nil {
		serving.of[lab] = map[service]bool{}
	}
	serving.of[lab][s] = true
	return func() {
		serving.Lock()
		defer serving.Unlock()
		if delete(serving.of[lab], s); len(serving.of[lab]) == 0 {
			delete(serving.of, lab)
		}
	}
}

// services are the responders of a lab.
func services(lab *harness.Lab) []service {
	serving.Lock()
	defer serving.Unlock()
	return slices.Collect(maps.Keys(serving.of[lab]))
}

// isServed says whether some node of the lab has a responder at the port.
func isServed(lab *harness.Lab, k kind, port uint16) bool {
	serving.Lock()
	defer serving.Unlock()
	for s := range serving.of[lab] {
		if s.probe.kind == k && s.probe.port == port {
			return true
		}
	}
	return false
}
