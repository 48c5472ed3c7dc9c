package harness

import (
	"errors"
	"fmt"
	"os"
	"sync"

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
// stays until it makes the next one. prepare runs there, before any link.
func newGround(prepare func() error) (*ground, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, noNamespace(err)
	}
	ns, err := holdCurrent()
	if err != nil {
		return nil, err
	}
	socket, err := openRTNL()
	if err == nil {
		err = prepare()
	}
	if err != nil {
		if socket != nil {
			socket.close()
		}
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
		return at(fmt.Errorf("%w: %s", err, noPrivilege()), doing)
	}
	return at(err, doing)
}

// builders is how many threads make namespaces at once. Two make 0.6 to 0.8 of
// one's time; four gain nothing, since registration is serialised by rtnl.
const builders = 2

// makeGrounds makes one namespace per prepare func, in that order. On an error
// none is left.
func makeGrounds(prepare []func() error) ([]*ground, error) {
	grounds := make([]*ground, len(prepare))
	errs := make([]error, builders)
	var working sync.WaitGroup
	for worker := range min(builders, len(prepare)) {
		working.Add(1)
		onOwnThread(func() {
			defer working.Done()
			for i := worker; i < len(prepare) && errs[worker] == nil; i += builders {
				grounds[i], errs[worker] = newGround(prepare[i])
			}
		})
	}
	working.Wait()
	for _, err := range errs {
		if err != nil {
			for _, g := range grounds {
				g.close()
			}
			return nil, err
		}
	}
	return grounds, nil
}
