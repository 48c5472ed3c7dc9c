package probes

import (
	"errors"
	"net/netip"
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
	nodes  []*harness.Node
	kept   []*inspect.KeptOwn // of each node
	news   int                // an epoll descriptor, which tells of whose there is something
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
		o := &ownership{nodes: lab.Nodes(), news: -1}
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
	for i, node := range o.nodes {
		if o.kept[i].Owns(addr) {
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
	if o.news < 0 {
		if err := o.open(); err != nil {
			return err
		}
	}
	if o.known != nil {
		switch n, err := unix.EpollWait(o.news, make([]unix.EpollEvent, 1), 0); {
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		case err == nil && n == 0:
			return nil
		}
	}
	var changed []*harness.Node
	kept := map[*harness.Node]*inspect.KeptOwn{}
	for i, node := range o.nodes {
		if !o.kept[i].Known() {
			changed = append(changed, node)
			kept[node] = o.kept[i]
		}
	}
	o.known = nil
	if err := harness.Visit(changed, func(node *harness.Node) error { return kept[node].Read() }); err != nil {
		return err
	}
	o.known = map[netip.Addr][]*harness.Node{}
	return nil
}

// open opens a socket in each namespace.
func (o *ownership) open() (err error) {
	if o.news, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	err = harness.Visit(o.nodes, func(*harness.Node) error {
		k, err := inspect.KeepOwn()
		if err != nil {
			return err
		}
		o.kept = append(o.kept, k)
		return unix.EpollCtl(o.news, unix.EPOLL_CTL_ADD, k.Socket(), &unix.EpollEvent{Events: unix.EPOLLIN})
	})
	if err != nil {
		o.release()
	}
	return err
}

// release closes what is open.
func (o *ownership) release() {
	for _, k := range o.kept {
		k.Close()
	}
	if o.news >= 0 {
		_ = unix.Close(o.news)
	}
	o.kept, o.news, o.known = nil, -1, nil
}

func (o *ownership) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.release()
	o.closed = true
}
