package truth_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	. "github.com/onsi/ginkgo/v2"
)

// scope is the test of one lab: what was made for it goes when it ends, and not
// with the spec.
type scope struct {
	name string
	mu   sync.Mutex
	ends []func()
	bad  error
	// hands are its programs that hand on packets.
	hands hands
}

// fatal is the panic of a scope that cannot go on.
type fatal string

func (s *scope) Helper()                    {}
func (s *scope) Name() string               { return s.name }
func (s *scope) Logf(f string, args ...any) { GinkgoWriter.Printf(f+"\n", args...) }
func (s *scope) Errorf(f string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad = errors.Join(s.bad, fmt.Errorf(f, args...))
}
func (s *scope) Fatalf(f string, args ...any) { panic(fatal(fmt.Sprintf(f, args...))) }
func (s *scope) Skipf(f string, args ...any)  { s.Fatalf(notHere+f, args...) }

// notHere begins the error of a network that wants what this kernel or machine lacks.
const notHere = "not here: "

// Failed is false: a world that is complained about is shrunk and printed, which
// says more than a bundle of each lab on the way there.
func (s *scope) Failed() bool { return false }

func (s *scope) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, f)
}

// in runs f in a scope, and takes away what it made. The error is that of a lab
// that could not be built, or of what went wrong with it.
func in(name string, f func(*scope)) (err error) {
	s := &scope{name: name}
	defer func() {
		if p := recover(); p != nil {
			text, ok := p.(fatal)
			if !ok {
				panic(p)
			}
			err = errors.New(string(text))
		}
		for _, end := range slices.Backward(s.ends) {
			end()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		err = errors.Join(err, s.bad)
	}()
	f(s)
	return nil
}
