package probes

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/wire"
)

// A request is "nstest?" and a nonce; a responder's answer is "nstest!", the
// nonce in hexadecimal, the inode number of its namespace, and the name of the node
// that it runs in, on one line. The nonce makes an answer one to this very request;
// two labs may have nodes of one name.
const (
	requestWord = wire.RequestWord
	answerWord  = wire.AnswerWord
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

// signature is how a node's responder calls itself.
func signature(node *harness.Node) string { return fmt.Sprintf("%d %s", node.Inode(), node.Name()) }

// signed notes who signed the answer, when somebody did.
func (a *asking) signed(answer []byte, nonce [nonceSize]byte) bool {
	by, ok := signer(answer, nonce)
	if !ok {
		return false
	}
	var signs *harness.Node
	for _, node := range a.nodes() {
		if signature(node) == by {
			signs = node
		}
	}
	_, name, _ := strings.Cut(by, " ")
	a.proven(signs, name)
	a.result.signed = true
	return true
}

// service is a port that a responder has.
type service struct {
	node  string
	probe Probe
}

func serviceOf(node *harness.Node, p Probe) service {
	return service{node.Name(), Probe{kind: p.kind, port: p.port}}
}

// serving are the responders of a lab: only where there is one does a probe wait for
// a signature, since other services would be waiting for their own kind of request.
type serving struct {
	mu sync.Mutex
	of map[service]bool
}

type servingKey struct{}

func servingAt(lab *harness.Lab) *serving {
	return lab.Keep(servingKey{}, func() any { return &serving{of: map[service]bool{}} }).(*serving)
}

// began notes a responder, and returns what ends it.
func began(node *harness.Node, p Probe) (ended func()) {
	all, s := servingAt(node.Lab()), serviceOf(node, p)
	all.mu.Lock()
	defer all.mu.Unlock()
	all.of[s] = true
	return func() {
		all.mu.Lock()
		defer all.mu.Unlock()
		delete(all.of, s)
	}
}

// services are the responders of a lab.
func services(lab *harness.Lab) []service {
	all := servingAt(lab)
	all.mu.Lock()
	defer all.mu.Unlock()
	return slices.Collect(maps.Keys(all.of))
}

// isServed says whether a node has a responder for such a probe.
func isServed(node *harness.Node, p Probe) bool {
	all := servingAt(node.Lab())
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.of[serviceOf(node, p)]
}
