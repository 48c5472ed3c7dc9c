package watch

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
)

// inquiry is what is to be known of a node besides what its kernel lists.
type inquiry struct {
	questions []inspect.Question
	seen      []evidence.Sighting // what is asked about packets at places depends on the links
	links     []int               // whose sysctls are wanted
	sockets   wire.Protocol       // whose are wanted, TCP, UDP or UDPLite
	flow      wire.Flow
}

// about adds what explaining a packet at a place needs.
func (i *inquiry) about(s evidence.Sighting) {
	i.seen = append(i.seen, s)
	if s.Index != 0 {
		i.links = append(i.links, s.Index)
	}
}

// in is what is to be read at a node of that state.
func (i inquiry) in(s *inspect.State) inspect.Want {
	var names []string
	for _, index := range i.links {
		if name := s.Link(index).Name; name != "" {
			names = append(names, name)
		}
	}
	questions := slices.Clone(i.questions)
	for _, seen := range i.seen {
		questions = append(questions, verdict.Questions(i.flow, seen, s.VRF(s.Link(seen.Index)))...)
	}
	return inspect.Want{
		Questions: questions, Sysctls: verdict.Sysctls(names...),
		Listeners: i.sockets == wire.TCP, Datagrams: i.sockets == wire.UDP, Lite: i.sockets == wire.UDPLite,
	}
}

// NamespaceOf is where a node's state is read, by what its lab keeps open for that. The error is
// that it cannot be opened (no descriptors).
func NamespaceOf(node *harness.Node) (inspect.Namespace, error) {
	kept := keptOf(node)
	if err := kept.Open(node.Do); err != nil {
		return inspect.Namespace{}, fmt.Errorf("node %s: %w", node, err)
	}
	return kept.Of(node.Netlink(), node.Do), nil
}

// LegacyPrograms are those of iptables-legacy that have tables at a node.
func LegacyPrograms(node *harness.Node) ([]string, error) {
	programs, err := keptOf(node).Of(nil, node.Do).LegacyPrograms()
	if err != nil {
		return nil, fmt.Errorf("node %s: look for the tables of iptables-legacy: %w", node, err)
	}
	return programs, nil
}

// LinksOf are a node's interfaces, which its lab keeps, read in its namespace where they have
// changed: only those of their fields count that the kernel tells of at once.
func LinksOf(node *harness.Node, ns inspect.Namespace) ([]inspect.Link, error) {
	links, err := keptOf(node).Links.Read(ns)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return links, nil
}

type keptKey struct{}

func keptOf(node *harness.Node) *inspect.Kept {
	return node.Keep(keptKey{}, func() any {
		k := new(inspect.Kept)
		node.OnGone(k.Close)
		return k
	}).(*inspect.Kept)
}

// stateBook remembers the states that were read: hundreds of probes may ask for
// one at once.
type stateBook struct {
	mu    sync.Mutex
	nodes map[*harness.Node]*stateEntry
}

type stateEntry struct {
	mu    sync.Mutex
	at    time.Time // all of the state was read then or later
	state *inspect.State
}

// state is a node's, all of it read at since or later.
func (b *stateBook) state(node *harness.Node, label string, since time.Time, what inquiry) (*inspect.State, error) {
	entry := b.entry(node)
	entry.mu.Lock()
	defer entry.mu.Unlock()
	ns, err := NamespaceOf(node)
	if err != nil {
		return nil, err
	}
	if entry.state == nil || entry.at.Before(since) {
		at := time.Now()
		state, err := ns.Read(label)
		if err != nil {
			return nil, err
		}
		entry.at, entry.state = at, state
	}
	want := what.in(entry.state)
	if err := ns.Fill(entry.state, want); err != nil {
		return nil, err
	}
	return entry.state.Excerpt(want), nil
}

func (b *stateBook) entry(node *harness.Node) *stateEntry {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.nodes == nil {
		b.nodes = map[*harness.Node]*stateEntry{}
	}
	entry := b.nodes[node]
	if entry == nil {
		entry = &stateEntry{}
		b.nodes[node] = entry
	}
	return entry
}
