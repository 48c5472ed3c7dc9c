package harness

import (
	"os/exec"
	"slices"
	"sync"
)

// commands are those of a lab that were started and not yet waited for, and the
// nodes' inits.
type commands struct {
	mu      sync.Mutex
	closed  bool
	started map[*Cmd]bool
	inits   []*nodeInit
	ending  chan struct{} // closed when all have been killed
}

// over is closed when the lab's processes have been killed.
func (s *commands) over() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending == nil {
		s.ending = make(chan struct{})
	}
	return s.ending
}

// begin starts a command on the calling thread, its node's launcher, unless the lab
// went down meanwhile.
func (s *commands) begin(c *Cmd, command *exec.Cmd) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errDown
	}
	if err := command.Start(); err != nil {
		return pathless(err)
	}
	c.command = command
	if s.started == nil {
		s.started = map[*Cmd]bool{}
	}
	s.started[c] = true
	return nil
}

// keep keeps a node's init for the end.
func (s *commands) keep(n *Node, i *nodeInit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		i.close()
		return errDown
	}
	s.inits, n.init = append(s.inits, i), i
	return nil
}

// end kills everything in one node's PID namespace and waits until it is gone.
func (s *commands) end(n *Node) {
	s.mu.Lock()
	var running []*Cmd
	for c := range s.started {
		if c.node == n {
			running = append(running, c)
		}
	}
	i := n.init
	s.inits = slices.DeleteFunc(s.inits, func(other *nodeInit) bool { return other == i })
	s.mu.Unlock()
	if i == nil {
		return
	}
	i.kill()
	var waiting sync.WaitGroup
	for _, c := range running {
		waiting.Go(func() { _ = c.wait() })
	}
	waiting.Wait()
	i.close()
}

func (s *commands) forget(c *Cmd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.started, c)
}

// close kills everything in the nodes' PID namespaces and waits until it is gone.
func (s *commands) close() {
	s.mu.Lock()
	s.closed = true
	var running []*Cmd
	for c := range s.started {
		running = append(running, c)
	}
	s.mu.Unlock()
	for _, i := range s.inits {
		i.kill()
	}
	s.over()
	close(s.ending)
	var waiting sync.WaitGroup
	for _, c := range running {
		waiting.Go(func() { _ = c.wait() }) // at once: each may have to give up its streams
	}
	waiting.Wait()
	for _, i := range s.inits {
		i.close()
	}
}
