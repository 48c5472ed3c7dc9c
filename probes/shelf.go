package probes

import (
	"fmt"
	"sync"

	"github.com/nstest/nstest/harness"
)

// shelf keeps a node's idle echo sockets. Making one takes a thread in the
// namespace, 60 us away; taking one from here does not.
type shelf struct {
	mu   sync.Mutex
	idle [2][]*echoes // IPv4, IPv6
	down bool
}

// maxIdle bounds what a burst of probes leaves on a shelf.
const maxIdle = 8

type shelfKey struct{}

func shelfOf(node *harness.Node) *shelf {
	return node.Keep(shelfKey{}, func() any {
		s := &shelf{}
		node.OnGone(s.clear)
		return s
	}).(*shelf)
}

func at(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

// borrow is an echo socket of the node with a fresh id, from its shelf or a new one. The
// error of binding it is an errno.
func (s *shelf) borrow(node *harness.Node, v6 bool, from source) (*echoes, error) {
	for {
		e, err := s.take(node, v6, from)
		if err != nil {
			return nil, err
		}
		ok, err := e.renew(node, from)
		if ok {
			return e, nil
		}
		e.close()
		if err != nil {
			return nil, err
		}
	}
}

// take takes one from the shelf, or makes one. One with options of a source's is used once.
func (s *shelf) take(node *harness.Node, v6 bool, from source) (e *echoes, err error) {
	if from == (source{}) {
		if e := s.first(v6); e != nil {
			return e, nil
		}
	}
	err = node.Do(func() (err error) {
		if e, err = openOne(node, v6, from); err != nil {
			return fmt.Errorf("open ICMP socket: %w", err)
		}
		e.spent = from != (source{})
		return nil
	})
	return e, err
}

// first takes an idle socket from the shelf; nil when there is none.
func (s *shelf) first(v6 bool) *echoes {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle := s.idle[at(v6)]
	if len(idle) == 0 {
		return nil
	}
	s.idle[at(v6)] = idle[:len(idle)-1]
	return idle[len(idle)-1]
}

// give puts a socket back, or closes it when there are enough.
func (s *shelf) give(e *echoes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down || e.spent || len(s.idle[at(e.v6)]) >= maxIdle {
		e.close()
		return
	}
	s.idle[at(e.v6)] = append(s.idle[at(e.v6)], e)
}

func (s *shelf) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = true
	for i, idle := range s.idle {
		for _, e := range idle {
			e.close()
		}
		s.idle[i] = nil
	}
}
