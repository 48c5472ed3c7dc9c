package inspect

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Namespace is where to read.
type Namespace struct {
	// Handle is a netlink handle of the namespace.
	Handle *netlink.Handle
	// Do runs a function on a thread in the namespace.
	Do func(func() error) error

	kept *Kept // nil where each question has a socket of its own
}

// State is what the kernel says of a namespace at one moment.
type State struct {
	// Name is what the reader calls the namespace.
	Name  string
	Links []Link
	Addrs []Addr
	// Routes are those of every table.
	Routes []Route
	// PolicyRules are those of policy routing, in the order in which they are asked.
	PolicyRules []PolicyRule
	// Neighbours are the entries of every link.
	Neighbours []Neighbour
	// XfrmPolicies are those of xfrm, in the order in which they are asked.
	XfrmPolicies []XfrmPolicy
	// Qdiscs are the queueing disciplines by which interfaces send that hold or drop packets.
	Qdiscs []Qdisc
	// WireGuard are the interfaces of that kind, with their peers.
	WireGuard []WireGuard
	// Lookups are the route lookups that were asked for.
	Lookups map[Question]Lookup
	// Sysctls are those that were asked for, by their path below /proc/sys; one that
	// is not there is "".
	Sysctls map[string]string
	// Legacy is true when there are tables of iptables-legacy. An ordinary user may
	// not know.
	Legacy bool
	// Listeners are those of TCP, with their queues, if they were asked for.
	Listeners []Listener
	// UDP and UDPLite are the sockets of these that are not connected, if they were asked for.
	UDP, UDPLite []Listener
}

// Want is what is to be known of a namespace besides what its kernel lists. Sysctls
// and sockets take longer to read than all the rest: a router has many links, and
// the sockets of all namespaces are in one table.
type Want struct {
	Questions []Question
	// Sysctls are paths below /proc/sys.
	Sysctls []string
	// Listeners asks for the listening TCP sockets, Datagrams for UDP's, Lite for UDP-Lite's.
	Listeners, Datagrams, Lite bool
}

// mostTries is how often a list is read again that the kernel changed under way.
const mostTries = 3

// Read reads what a namespace's kernel lists: all but what Fill adds.
func (ns Namespace) Read(name string) (*State, error) {
	s := &State{Name: name, Lookups: map[Question]Lookup{}, Sysctls: map[string]string{}}
	for _, part := range []struct {
		what string
		read func() error
	}{
		{"links", func() (err error) { s.Links, err = ns.Links(); return err }},
		{"addresses", func() (err error) { s.Addrs, err = ns.Addrs(); return err }},
		{"routes", func() (err error) { s.Routes, err = ns.Routes(); return err }},
		{"policy routing rules", func() (err error) { s.PolicyRules, err = ns.PolicyRules(); return err }},
		{"neighbours", func() (err error) { s.Neighbours, err = ns.Neighbours(); return err }},
		{"policies of xfrm", func() (err error) { s.XfrmPolicies, err = ns.XfrmPolicies(); return err }},
		{"queueing disciplines", func() (err error) { s.Qdiscs, err = ns.Qdiscs(); return err }},
		{"peers of WireGuard", func() (err error) { s.WireGuard, err = ns.WireGuards(s.Links); return err }},
		{"tables of iptables-legacy", func() error {
			programs, err := ns.LegacyPrograms()
			s.Legacy = len(programs) > 0
			return err
		}},
	} {
		err := part.read()
		for tries := 0; errors.Is(err, netlink.ErrDumpInterrupted) && tries < mostTries; tries++ {
			err = part.read()
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", part.what, err)
		}
	}
	return s, nil
}

// Fill reads what is wanted and the state has not got.
func (ns Namespace) Fill(s *State, want Want) error {
	var questions []Question
	for _, q := range want.Questions {
		if _, ok := s.Lookups[q]; !ok {
			questions = append(questions, q)
		}
	}
	var keys []string
	for _, key := range want.Sysctls {
		if _, ok := s.Sysctls[key]; !ok {
			keys = append(keys, key)
		}
	}
	listeners := want.Listeners && s.Listeners == nil
	datagrams, lite := want.Datagrams && s.UDP == nil, want.Lite && s.UDPLite == nil
	sockets := listeners || datagrams || lite
	if len(questions) == 0 && len(keys) == 0 && !sockets {
		return nil
	}
	if err := ns.readLookups(s, questions); err != nil || len(keys) == 0 && !sockets {
		return err
	}
	return ns.Do(func() error {
		s.readSysctls(keys)
		if datagrams {
			s.UDP = readDatagrams(unix.IPPROTO_UDP, "udp")
		}
		if lite {
			s.UDPLite = readDatagrams(unix.IPPROTO_UDPLITE, "udplite")
		}
		if listeners {
			return s.readListeners()
		}
		return nil
	})
}

// readLookups asks the kernel.
func (ns Namespace) readLookups(s *State, questions []Question) error {
	if len(questions) == 0 {
		return nil
	}
	answers, err := ns.Lookups(questions...)
	if err != nil {
		return err
	}
	for i, q := range questions {
		s.Lookups[q] = answers[i]
	}
	return nil
}

// Excerpt is a copy with those lookups and sysctls that are wanted: what is filled
// in later is not in it.
func (s *State) Excerpt(want Want) *State {
	own := *s
	own.Lookups = make(map[Question]Lookup, len(want.Questions))
	for _, q := range want.Questions {
		own.Lookups[q] = s.Lookups[q]
	}
	own.Sysctls = make(map[string]string, len(want.Sysctls))
	for _, key := range want.Sysctls {
		own.Sysctls[key] = s.Sysctls[key]
	}
	return &own
}
