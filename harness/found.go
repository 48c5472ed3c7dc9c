package harness

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// found is a network that somebody else made, as it was read last.
type found struct {
	name   string
	places []place
	epoll  int
	news   []int // sockets that tell of changes, one a place

	mu     sync.Mutex
	closed bool
	plan   *topo.Plan
	cables map[spot]cable
	index  map[spot]int
}

// place is a namespace that is read: a node's, or the tests' own, which is nobody's
// node and may have the bridges between them.
type place struct {
	node string // "" is no node
	*namespace
}

// cable is what an interface is at.
type cable struct {
	name    string
	outside bool
}

// tellers are the groups of route netlink that tell of what is read: links, addresses,
// routes, policy routing rules, forwarding, and which namespaces know each other.
var tellers = []int{
	unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF, unix.RTNLGRP_NSID,
}

// open begins to listen for changes, and reads for the first time.
func (f *found) open() error {
	own, err := holdPath("/proc/self/ns/net")
	if err != nil {
		return err
	}
	own.close() // only its number counts: nobody enters it
	hidden := true
	for _, p := range f.places {
		hidden = hidden && p.inode != own.inode
	}
	if hidden {
		f.places = append(f.places, place{"", own})
	}
	if f.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	for _, p := range f.places {
		if err := p.in(f.listen); err != nil {
			return at(err, "%s: listen for changes", p)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.read()
}

func (p place) String() string {
	if p.node == "" {
		return "the tests' own namespace"
	}
	return "node " + p.node
}

// in runs g on a thread in the place. A new thread is in the tests' own namespace, which
// an ordinary user may read and not enter.
func (p place) in(g func() error) error {
	enter := p.enter
	if p.node == "" {
		enter = func() error { return nil }
	}
	return once(enter, g)
}

func (f *found) listen() error {
	fd, err := inspect.Hear(unix.NETLINK_ROUTE, tellers...)
	if err != nil {
		return err
	}
	f.news = append(f.news, fd)
	return unix.EpollCtl(f.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (f *found) close() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.closed = true
	for _, fd := range f.news {
		_ = unix.Close(fd)
	}
	if f.epoll >= 0 {
		_ = unix.Close(f.epoll)
	}
}

// now is the plan of what is there now. What cannot be read stays as it was, with a note.
func (f *found) now() *topo.Plan {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	return f.plan
}

func (f *found) cable(at spot) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	c := f.cables[at]
	return c.name, c.outside
}

// indexOf is the index of an interface of the plan.
func (f *found) indexOf(at spot) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.index[at]
}

// refresh reads again if a kernel told of a change. The caller holds f.mu.
func (f *found) refresh() {
	if f.closed || !f.told() {
		return
	}
	if err := f.read(); err != nil {
		stale := *f.plan
		stale.Notes = []string{fmt.Sprintf("what was changed since cannot be read: %v", err)}
		f.plan = &stale
	}
}

// told says whether anything was told, and forgets it.
func (f *found) told() (told bool) {
	var ready [16]unix.EpollEvent
	for {
		n, err := unix.EpollWait(f.epoll, ready[:], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n <= 0 {
			return told
		}
		told = true
		for _, event := range ready[:n] {
			inspect.Drain(int(event.Fd))
		}
	}
}

// read reads every place, and makes the plan. The caller holds f.mu.
func (f *found) read() error {
	w := newWeb()
	for i, p := range f.places {
		if err := p.in(func() error { return w.read(i, p, f.places) }); err != nil {
			return at(err, "%s", p)
		}
	}
	w.weave()
	f.plan, f.cables, f.index = w.plan(f.name), w.cables, w.index
	return nil
}

// mostReads is how often a list is read that the kernel changes meanwhile.
const mostReads = 3

// read reads a place; the calling thread is in it.
func (w *web) read(at int, p place, places []place) error {
	return inspect.Here(func(ns inspect.Namespace) (err error) {
		h := &held{place: at, node: p.node, peers: map[int]int{}}
		w.held = append(w.held, h)
		for _, read := range []func() error{
			func() (err error) { h.links, err = ns.Links(); return err },
			func() (err error) { h.addrs, err = ns.Addrs(); return err },
			func() (err error) { h.routes, err = ns.Routes(); return err },
		} {
			err := read()
			for tries := 1; errors.Is(err, netlink.ErrDumpInterrupted) && tries < mostReads; tries++ {
				err = read()
			}
			if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
				return err
			}
		}
		for _, key := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
			value := slurp(sysctlRoot + key)
			h.forwards = h.forwards || value != "" && value[0] != '0'
		}
		return h.know(places)
	})
}

// know finds which of the places the namespace's links lead to: the kernel has a number
// for each namespace that one of its own is connected with.
func (h *held) know(places []place) error {
	wanted := false
	for _, l := range h.links {
		wanted = wanted || l.PeerNamespace >= 0
	}
	if !wanted {
		return nil
	}
	for i, p := range places {
		id, err := p.number()
		if err != nil {
			return err
		}
		if id >= 0 {
			h.peers[id] = i
		}
	}
	return nil
}

// number is what the calling thread's namespace knows the place by; -1 for nothing.
func (p place) number() (int, error) {
	if p.node != "" {
		return p.id()
	}
	file, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return netlink.GetNetNsIdByFd(int(file.Fd()))
}
