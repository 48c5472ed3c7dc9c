package probes

import (
	"errors"
	"net/netip"
	"slices"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// ownership is who of a lab's nodes has which address now, whatever the plan says: addresses
// move, and are added by hand. A lab keeps it, and asks its kernels again only when they have
// told of a change: else it costs each answer one look whether they have.
type ownership struct {
	mu     sync.Mutex
	lab    *harness.Lab
	turn   uint64 // of the lab (Turn), when its nodes were these
	nodes  []*harness.Node
	kept   map[*harness.Node]*inspect.KeptOwn
	news   int // an epoll descriptor, which tells of whose there is something
	known  map[netip.Addr][]*harness.Node
	closed bool
}

type ownershipKey struct{}

var errOwnershipClosed = errors.New("the lab is down")

// owners are the nodes of a lab that have an address at this moment, but for those of
// loopbacks, which every node has.
func owners(lab *harness.Lab, addr netip.Addr) ([]*harness.Node, error) {
	if addr = addr.WithZone(""); addr.IsLoopback() || !addr.IsValid() {
		return nil, nil
	}
	o := lab.Keep(ownershipKey{}, func() any {
		o := &ownership{lab: lab, kept: map[*harness.Node]*inspect.KeptOwn{}, news: -1}
		lab.OnDown(o.close)
		return o
	}).(*ownership)
	return o.of(addr)
}

func (o *ownership) of(addr netip.Addr) (owners []*harness.Node, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.refresh(); err != nil {
		return nil, err
	}
	if owners, ok := o.known[addr]; ok {
		return owners, nil
	}
	for _, node := range o.nodes {
		if o.kept[node].Owns(addr) {
			owners = append(owners, node)
		}
	}
	o.known[addr] = owners
	return owners, nil
}

// refresh reads again what has changed.
func (o *ownership) refresh() error {
	if o.closed {
		return errOwnershipClosed
	}
	if err := o.follow(); err != nil {
		o.release()
		return err
	}
	if o.known != nil {
		switch n, err := unix.EpollWait(o.news, make([]unix.EpollEvent, 1), 0); {
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		case err == nil && n == 0:
			return nil
		}
	}
	changed := slices.DeleteFunc(slices.Clone(o.nodes), func(node *harness.Node) bool { return o.kept[node].Known() })
	o.known = nil
	if err := harness.Visit(changed, func(node *harness.Node) error { return o.kept[node].Read() }); err != nil {
		return err
	}
	o.known = map[netip.Addr][]*harness.Node{}
	return nil
}

// follow opens a socket in each namespace that has come to the lab since, and closes those of
// nodes that are no more: see Lab.Change.
func (o *ownership) follow() (err error) {
	turn := o.lab.Turn() // before its nodes are asked for
	if changing := turn&1 == 1; o.news >= 0 && turn == o.turn && !changing {
		return nil
	}
	if o.news < 0 {
		if o.news, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			return err
		}
	}
	nodes := o.lab.Nodes()
	for node, k := range o.kept {
		if !slices.Contains(nodes, node) {
			k.Close()
			delete(o.kept, node)
			o.known = nil
		}
	}
	came := slices.DeleteFunc(slices.Clone(nodes), func(node *harness.Node) bool { return o.kept[node] != nil })
	if len(came) > 0 {
		o.known = nil
	}
	err = harness.Visit(came, o.open)
	o.nodes, o.turn = nodes, turn
	return err
}

// open opens a socket in the namespace of a node. The calling thread is there.
func (o *ownership) open(node *harness.Node) error {
	k, err := inspect.KeepOwn()
	if err != nil {
		return err
	}
	o.kept[node] = k
	return unix.EpollCtl(o.news, unix.EPOLL_CTL_ADD, k.Socket(), &unix.EpollEvent{Events: unix.EPOLLIN})
}

// release closes what is open.
func (o *ownership) release() {
	for _, k := range o.kept {
		k.Close()
	}
	if o.news >= 0 {
		_ = unix.Close(o.news)
	}
	o.kept, o.nodes, o.news, o.known = map[*harness.Node]*inspect.KeptOwn{}, nil, -1, nil
}

func (o *ownership) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.release()
	o.closed = true
}
