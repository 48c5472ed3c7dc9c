package harness

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

var errDown = errors.New("the lab is down")

// namespace is a network namespace that this process holds by descriptor:
// no name, no mount. The last descriptor's end is the namespace's.
type namespace struct {
	mu    sync.RWMutex
	fd    int
	inode uint64
}

// threadNetns is the calling thread's own network namespace. /proc/self/ns/net
// would be the main thread's.
const threadNetns = "/proc/thread-self/ns/net"

// holdCurrent holds the calling thread's namespace.
func holdCurrent() (*namespace, error) { return holdPath(threadNetns) }

// holdPath holds the network namespace at a path: /run/netns/fw, /proc/PID/ns/net.
func holdPath(path string) (*namespace, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, at(err, "open %s", path)
	}
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s is no network namespace", path)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		_ = unix.Close(fd)
		return nil, at(err, "stat %s", path)
	}
	return &namespace{fd: fd, inode: stat.Ino}, nil
}

// enter takes the calling thread into the namespace. It never comes back.
func (n *namespace) enter() error {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.fd < 0 {
		return errDown
	}
	if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
		return at(err, "enter namespace %d", n.inode)
	}
	return nil
}

// path is a path to the namespace for as long as this process holds it.
func (n *namespace) path() string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.fd)
}

func (n *namespace) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fd >= 0 {
		_ = unix.Close(n.fd)
		n.fd = -1
	}
}

// ground is a namespace and its route netlink socket: what a node, and the
// fabric that holds a lab's bridges, stand on.
type ground struct {
	*namespace
	rtnl *rtnl
}

func (g *ground) close() {
	if g == nil {
		return
	}
	g.rtnl.close()
	g.namespace.close()
}

// newGround makes a namespace. The calling thread is in it from then on, and
// stays until it makes the next one.
func newGround() (*ground, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, noNamespace(err)
	}
	ns, err := holdCurrent()
	if err != nil {
		return nil, err
	}
	socket, err := openRTNL()
	if err != nil {
		ns.close()
		return nil, err
	}
	return &ground{ns, socket}, nil
}

// noNamespace says what to do about a namespace that could not be made.
func noNamespace(err error) error {
	const doing = "make network namespace"
	switch {
	case errors.Is(err, unix.ENOSPC):
		return at(fmt.Errorf("%w: no room for another one: raise user.max_net_namespaces, or end what holds the others"+
			" (the kernel's clean-up of ended ones counts too)", err), doing)
	case errors.Is(err, unix.EPERM):
		if privileged() {
			return at(fmt.Errorf("%w: %s", err, bySeccomp), doing)
		}
		return at(fmt.Errorf("%w: %s", err, noPrivilege()), doing)
	}
	return at(err, doing)
}

// builders is how many threads make namespaces at once. Two make 0.6 to 0.8 of
// one's time; four gain nothing, since registration is serialised by rtnl.
const builders = 2

// makeGrounds makes one namespace per prepare func, in that order; prepare runs
// in it, before any link. On an error none is left.
func makeGrounds(prepare []func() error) ([]*ground, error) {
	y := &yard{prepare: prepare, grounds: make([]*ground, len(prepare)), bare: make(chan int, len(prepare))}
	errs := make([]error, builders)
	var working sync.WaitGroup
	for worker := range min(builders, len(prepare)) {
		working.Add(1)
		onOwnThread(func() {
			defer working.Done()
			errs[worker] = y.work()
		})
	}
	working.Wait()
	for _, err := range errs {
		if err != nil {
			for _, g := range y.grounds {
				g.close()
			}
			return nil, err
		}
	}
	return y.grounds, nil
}

// yard is what the builder threads share. Whoever finds no namespace left to
// make prepares those that are made, its own and the other's: in a lab of three
// nodes one thread makes two, which takes as long as all the rest.
type yard struct {
	prepare []func() error
	grounds []*ground
	next    atomic.Int64
	made    atomic.Int64
	failed  atomic.Bool
	bare    chan int // made and not yet prepared
}

func (y *yard) work() error {
	err := y.makeAll()
	for i := range y.bare {
		if err != nil || y.failed.Load() {
			continue
		}
		if err = y.grounds[i].enter(); err == nil {
			err = y.prepare[i]()
		}
		if err != nil {
			y.failed.Store(true)
		}
	}
	return err
}

// makeAll makes namespaces until there are none left to make. After a failure
// the rest is passed over, so that nobody waits for it.
func (y *yard) makeAll() error {
	var failure error
	for i := y.next.Add(1) - 1; i < int64(len(y.grounds)); i = y.next.Add(1) - 1 {
		if !y.failed.Load() {
			var err error
			if y.grounds[i], err = newGround(); err != nil {
				failure = err
				y.failed.Store(true)
			}
		}
		y.bare <- int(i)
		if y.made.Add(1) == int64(len(y.grounds)) {
			close(y.bare)
		}
	}
	return failure
}
