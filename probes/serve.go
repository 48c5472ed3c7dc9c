package probes

import (
	"fmt"
	"sync"

	"github.com/nstest/nstest/harness"
)

// Serve answers TCP, UDP and UDP-Lite probes at a node until the test ends or the lab goes down, on
// every address. It signs each answer with the node's name and the probe's nonce, so
// that one from the wrong owner of an address is told. A port that is taken, or
// an ICMP probe, which kernels answer by themselves, fails the test.
func Serve(tb harness.TB, node *harness.Node, probes ...Probe) {
	tb.Helper()
	for _, p := range probes {
		var running sync.WaitGroup
		closers, err := serve(node, p, &running)
		stop := sync.OnceFunc(func() {
			for _, f := range closers {
				f()
			}
			running.Wait()
		})
		tb.Cleanup(stop)
		if !isNone(node) { // its sockets would keep the namespace
			node.OnGone(stop)
		}
		if err != nil {
			tb.Fatalf("serve %s at %s: %v", p, node, err)
			return
		}
	}
}

// serve starts the responders of one probe; what they hold is closed by closers.
func serve(node *harness.Node, p Probe, running *sync.WaitGroup) (closers []func(), err error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if p.kind.serve == nil {
		return nil, fmt.Errorf("every kernel answers %s by itself", p)
	}
	if closers, err = p.kind.serve(node, p, running); err != nil {
		return closers, err
	}
	return append(closers, began(node, p)), nil
}
