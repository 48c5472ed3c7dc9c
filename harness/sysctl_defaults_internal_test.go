package harness

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// inNewNamespace runs f in one.
func inNewNamespace(t *testing.T, f func() error) {
	t.Helper()
	grounds, err := makeGrounds([]func() error{f})
	if err != nil {
		t.Fatal(err)
	}
	grounds[0].close()
}

// forgetFresh makes the next namespace be looked at.
func forgetFresh() {
	fresh.Lock()
	defer fresh.Unlock()
	fresh.values = nil
}

// different is another value of a sysctl than the kernel's default.
func different(s topo.Sysctl) string {
	if s.Value == "0" {
		return "1"
	}
	return "0"
}

func TestANodeIsTheSameOnEveryMachine(t *testing.T) {
	if !privileged() {
		t.Skip("makes namespaces by itself")
	}
	inherits() // which the machine's own namespace is told
	t.Cleanup(forgetFresh)
	for _, forward := range []bool{false, true} {
		forgetFresh()
		inNewNamespace(t, func() error {
			// As a namespace of a machine with Docker, or of somebody who set everything.
			spoilt := append([]topo.Sysctl{}, inheritBoth.asDefault(true)...)
			for _, s := range append(spoilt, forwarding(false, true)...) {
				if currentValue(s.Key) == absent || strings.HasSuffix(s.Key, ".disable_ipv6") {
					continue
				}
				if err := writeSysctl(s.Key, different(s)); err != nil && !strings.Contains(s.Key, "hop_limit") {
					return err
				}
			}
			forgetFresh()
			var wrong []error
			node := &topo.NodePlan{Forward: forward}
			wants := append(inheritBoth.asDefault(true), forwarding(forward, true)...)
			if err := setBase(base(node, true)); err != nil {
				return err
			}
			for _, s := range wants {
				want := s.Value
				if forward && s.Key == "net.ipv4.conf.all.accept_redirects" {
					want = "0"
				}
				if strings.HasPrefix(s.Key, "net.ipv6.") && inherits() == inherit4 && !strings.HasSuffix(s.Key, ".forwarding") {
					continue // nobody's but the kernel's, on this machine
				}
				if got := currentValue(s.Key); got != want && got != absent {
					wrong = append(wrong, fmt.Errorf("%s is %s, not %s", s.Key, got, want))
				}
			}
			return errors.Join(wrong...)
		})
	}
}

func TestTheDefaultsAreThisKernels(t *testing.T) {
	if !privileged() || inherits() != inherit4 {
		t.Skip("this machine does not say what a kernel's defaults are")
	}
	inNewNamespace(t, func() error {
		var wrong []error
		for _, s := range inheritBoth.asDefault(true) {
			if !strings.HasPrefix(s.Key, "net.ipv6.") {
				continue // the machine's
			}
			if got := currentValue(s.Key); got != s.Value && got != absent {
				wrong = append(wrong, fmt.Errorf("%s is %s, and the table says %s", s.Key, got, s.Value))
			}
		}
		return errors.Join(wrong...)
	})
}
