package inspect

import (
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Here calls f with the calling thread's namespace, to be read by a socket of its own:
// that there are no descriptors is an error, then. f runs on the calling thread.
func Here(f func(Namespace) error) error {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer handle.Close()
	one := conn{}
	defer func() {
		if one.Conn != nil {
			_ = one.Close()
		}
	}()
	return f(Namespace{Handle: handle, Do: func(f func() error) error { return f() }, one: &one})
}

// ask calls f with a socket of the namespace: one for all that is asked of Here's, which
// may be much, else one of its own.
func (ns Namespace) ask(f func(conn) error) error {
	if ns.one == nil {
		return ns.Do(func() error {
			c, err := openConn()
			if err != nil {
				return err
			}
			defer c.Close()
			return f(c)
		})
	}
	if ns.one.Conn == nil {
		var err error
		if *ns.one, err = openConn(); err != nil {
			return err
		}
	}
	return f(*ns.one)
}

// Lookup asks the kernel where a packet would go.
func (ns Namespace) Lookup(q Question) (Lookup, error) {
	all, err := ns.Lookups(q)
	if err != nil {
		return Lookup{}, err
	}
	return all[0], nil
}

// Lookups asks of several packets, by one socket.
func (ns Namespace) Lookups(questions ...Question) (answers []Lookup, err error) {
	err = ns.ask(func(c conn) error {
		for _, q := range questions {
			answers = append(answers, c.lookup(q))
		}
		return nil
	})
	return answers, err
}
