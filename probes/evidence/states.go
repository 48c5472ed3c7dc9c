package evidence

import (
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
)

// inquiry is what is to be known of a node besides what its kernel lists. Sysctls
// and sockets take longer to read than all the rest: a router has many links, and
// the sockets of all namespaces are in one table.
type inquiry struct {
	questions []Question
	links     []int    // whose sysctls are wanted
	sockets   Protocol // whose are wanted, TCP or UDP
}

// about adds what explaining a packet at a place needs.
func (i *inquiry) about(s Sighting) {
	i.questions = append(i.questions, questions(s)...)
	if s.Index != 0 {
		i.links = append(i.links, s.Index)
	}
}

// stateBook remembers the states that were read: hundreds of probes may ask for
// one at once.
type stateBook struct {
	mu    sync.Mutex
	nodes map[string]*stateEntry
}

type stateEntry struct {
	mu    sync.Mutex
	at    time.Time // all of the state was read then or later
	state *State
}

// state is a node's, all of it read at since or later.
func (b *stateBook) state(node *harness.Node, since time.Time, what inquiry) (*State, error) {
	entry := b.entry(node)
	entry.mu.Lock()
	defer entry.mu.Unlock()
	if entry.state == nil || entry.at.Before(since) {
		at := time.Now()
		state, err := capture(node)
		if err != nil {
			return nil, err
		}
		entry.at, entry.state = at, state
	}
	if err := entry.state.fill(node, what); err != nil {
		return nil, err
	}
	return entry.state.excerpt(what), nil
}

func (b *stateBook) entry(node *harness.Node) *stateEntry {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.nodes == nil {
		b.nodes = map[string]*stateEntry{}
	}
	entry := b.nodes[node.Name()]
	if entry == nil {
		entry = &stateEntry{}
		b.nodes[node.Name()] = entry
	}
	return entry
}

// fill reads what the inquiry wants and the state has not got.
func (s *State) fill(node *harness.Node, what inquiry) error {
	for _, q := range what.questions {
		if _, ok := s.Lookups[q]; !ok {
			s.Lookups[q] = lookup(node.Netlink(), q)
		}
	}
	var keys []string
	for _, key := range s.sysctls(what.links) {
		if _, ok := s.Sysctls[key]; !ok {
			keys = append(keys, key)
		}
	}
	listeners := what.sockets == TCP && s.Listeners == nil
	datagrams := what.sockets == UDP && s.UDP == nil
	if len(keys) == 0 && !listeners && !datagrams {
		return nil
	}
	return node.Do(func() error {
		s.readSysctls(keys)
		if datagrams {
			s.readUDP()
		}
		if listeners {
			return s.readListeners()
		}
		return nil
	})
}

// excerpt is a copy of what was asked for: what others ask for is added beside.
func (s *State) excerpt(what inquiry) *State {
	own := *s
	own.Lookups = make(map[Question]Lookup, len(what.questions))
	for _, q := range what.questions {
		own.Lookups[q] = s.Lookups[q]
	}
	keys := s.sysctls(what.links)
	own.Sysctls = make(map[string]string, len(keys))
	for _, key := range keys {
		own.Sysctls[key] = s.Sysctls[key]
	}
	return &own
}
