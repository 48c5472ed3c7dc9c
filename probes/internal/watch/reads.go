package watch

import (
	"fmt"
	"time"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

// Reads says whether a program at the target gets a request like the trail's, which again
// asks once more: the kernel counts what is read, and what waits to be read. Of one that
// nobody answers this tells a service that says nothing from what drops it unseen.
func (w *Watch) Reads(t *Trail, again func() (*Trail, error)) bool {
	c := w.Explain(t, Heard{Read: true})
	p := w.pointOf(c.Node)
	if c.Kind != evidence.NoAnswer || p == nil {
		return false
	}
	w.confirming.Lock()
	defer w.confirming.Unlock()
	begun := time.Now()
	before, err := p.count()
	if err != nil {
		return false
	}
	waited, err := p.unread()
	if err != nil {
		return false
	}
	second, err := again()
	if err != nil {
		return false
	}
	waits, err := p.unread()
	if err != nil {
		return false
	}
	after, err := p.count()
	if err != nil {
		return false
	}
	read := confirming(c, t.Flow)(func(name string) uint64 { return after[name] - before[name] })
	if port := w.portAt(second, c.Node); !read && waits[port] <= waited[port] {
		return false
	}
	return w.Explain(second, Heard{Read: true}).Is(string(evidence.NoAnswer)) && w.alone(t, second, begun, true)
}

// unread are the bytes that wait at the UDP ports of the node for whoever is to read them: on a
// busy machine a program may take long to get its turn.
func (p *point) unread() (map[uint16]uint32, error) {
	var state inspect.State
	if err := namespaceOf(p.node).Fill(&state, inspect.Want{Datagrams: true}); err != nil {
		return nil, fmt.Errorf("list UDP sockets of %s: %w", p.node.Name(), err)
	}
	unread := map[uint16]uint32{}
	for _, l := range state.UDP {
		unread[l.Port] += l.Unread
	}
	return unread, nil
}

// portAt is the port that the request was for where it came in at a node.
func (w *Watch) portAt(t *Trail, node string) uint16 {
	port := t.Flow.Port
	for _, s := range w.Timeline(t) {
		if s.Role == evidence.Request && s.Node == node && s.Direction == evidence.In {
			port = s.DestinationPort
		}
	}
	return port
}
