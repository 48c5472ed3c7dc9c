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
	kept := new(Kept) // by one socket for all that is asked, which may be much
	defer kept.Close()
	return f(kept.Of(handle, func(f func() error) error { return f() }))
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
	err = ns.ask(func(c *conn) error {
		for _, q := range questions {
			answer, err := c.lookup(q)
			if err != nil {
				return err
			}
			answers = append(answers, answer)
		}
		return nil
	})
	return answers, err
}
