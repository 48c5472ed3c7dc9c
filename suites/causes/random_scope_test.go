package causes_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	. "github.com/onsi/ginkgo/v2"
)

// scope is the test of one world: what was made for it goes when it ends, and not
// with the spec.
type scope struct {
	name   string
	mu     sync.Mutex
	failed bool
	ends   []func()
}

// fatal is the panic of a scope that cannot go on.
type fatal string

func (s *scope) Helper()                    {}
func (s *scope) Name() string               { return s.name }
func (s *scope) Logf(f string, args ...any) { GinkgoWriter.Printf(f+"\n", args...) }
func (s *scope) Errorf(f string, args ...any) {
	s.Logf(f, args...)
	s.fail()
}
func (s *scope) Fatalf(f string, args ...any) { panic(fatal(fmt.Sprintf(f, args...))) }
func (s *scope) Skipf(f string, args ...any)  { s.Fatalf(f, args...) }

func (s *scope) fail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = true
}

func (s *scope) Failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *scope) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, f)
}

// end takes away what was made; labs leave a bundle behind when there is an error.
func (s *scope) end(err *error) {
	if p := recover(); p != nil {
		text, ok := p.(fatal)
		if !ok {
			panic(p)
		}
		*err = errors.New(string(text))
	}
	if *err != nil {
		s.fail()
	}
	for _, f := range slices.Backward(s.ends) {
		f()
	}
}
