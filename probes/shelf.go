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

type shelfKey struct{ node *harness.Node }

func shelfOf(node *harness.Node) *shelf {
	return node.Lab().Keep(shelfKey{node}, func() any {
		s := &shelf{}
		node.Lab().OnDown(s.clear)
		return s
	}).(*shelf)
}

func at(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

// borrow is an echo socket of the node, from its shelf or a new one.
func (s *shelf) borrow(node *harness.Node, v6 bool) (*echoes, error) {
	s.mu.Lock()
	if idle := s.idle[at(v6)]; len(idle) > 0 {
		e := idle[len(idle)-1]
		s.idle[at(v6)] = idle[:len(idle)-1]
		s.mu.Unlock()
		return e, nil
	}
	s.mu.Unlock()
	var e *echoes
	err := node.Do(func() (err error) {
		if e, err = openOne(node, v6); err != nil {
			return fmt.Errorf("open ICMP socket: %w", err)
		}
		return nil
	})
	return e, err
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
