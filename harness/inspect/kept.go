package inspect

import (
	"errors"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Kept is what stays open of a namespace for who reads it again and again: what is asked by it
// takes no switch of threads, which costs more than most answers do. It keeps no answers, but for
// Links. The zero Kept is ready, for one namespace.
type Kept struct {
	Links KeptLinks

	mu     sync.Mutex // held while something is opened
	closed bool
	conn   *conn
	names  [2]int // descriptors of legacyFiles; 0 for one that is not open
}

// Of is the namespace that the handle and do are of, to be read by what is kept.
func (k *Kept) Of(handle *netlink.Handle, do func(func() error) error) Namespace {
	return Namespace{Handle: handle, Do: do, kept: k}
}

// Close closes all of it.
func (k *Kept) Close() {
	k.Links.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	if k.conn != nil {
		k.conn.close()
	}
	for i, fd := range k.names {
		if fd > 0 {
			_ = unix.Close(fd)
		}
		k.names[i] = 0
	}
}

// Open opens the socket that it asks by, unless it is open; do runs a function on a thread in the
// namespace. The error is that there is none (no descriptors).
func (k *Kept) Open(do func(func() error) error) error {
	_, err := k.opened(do)
	return err
}

func (k *Kept) opened(do func(func() error) error) (c *conn, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, errClosed
	}
	if k.conn == nil {
		err = do(func() error {
			k.conn, err = openConn()
			return err
		})
	}
	return k.conn, err
}

// ask calls f with a socket of the namespace: with that which is kept, or one of its own.
func (ns Namespace) ask(f func(*conn) error) error {
	if ns.kept != nil {
		c, err := ns.kept.opened(ns.Do)
		if err != nil {
			return err
		}
		return f(c)
	}
	return ns.Do(func() error {
		c, err := openConn()
		if err != nil {
			return err
		}
		defer c.close()
		return f(c)
	})
}

// LegacyPrograms are those of iptables-legacy that have tables in the namespace, IPv4's first.
// An ordinary user may not know, and is told of none.
func (ns Namespace) LegacyPrograms() (programs []string, err error) {
	if ns.kept == nil {
		err = ns.Do(func() error {
			programs = LegacyPrograms()
			return nil
		})
		return programs, err
	}
	return ns.kept.legacyPrograms(ns.Do)
}

// legacyPrograms reads the files, which are opened when they are there: their modules may come
// later, and then in all namespaces at once.
func (k *Kept) legacyPrograms(do func(func() error) error) (programs []string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, errClosed
	}
	var absent []int
	for i, path := range LegacyFiles() {
		if k.names[i] == 0 && unix.Access(path, unix.F_OK) == nil {
			absent = append(absent, i)
		}
	}
	if len(absent) > 0 {
		if err := do(func() error { return k.openNames(absent) }); err != nil {
			return nil, err
		}
	}
	for i, fd := range k.names {
		if fd <= 0 {
			continue
		}
		var name [1]byte
		switch n, err := unix.Pread(fd, name[:], 0); {
		case err == nil && n > 0:
			programs = append(programs, legacyFiles[i].program)
		case err != nil: // the module is gone, and its file
			_ = unix.Close(fd)
			k.names[i] = 0
		}
	}
	return programs, nil
}

// openNames opens some of the files, in the calling thread's namespace.
func (k *Kept) openNames(which []int) error {
	const refused = -1
	for _, i := range which {
		fd, err := unix.Open(LegacyFiles()[i], unix.O_RDONLY|unix.O_CLOEXEC, 0)
		switch {
		case err == nil:
			k.names[i] = fd
		case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
			k.names[i] = refused
		case !errors.Is(err, unix.ENOENT):
			return err
		}
	}
	return nil
}
