package inspect

import (
	"errors"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// conn asks for what the netlink library has no words for. It is of the namespace
// that the thread is in which opens it.
type conn struct{ *netlink.Conn }

func openConn() (conn, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	return conn{c}, err
}

// ask sends a request: the family's header, and attributes.
func (c conn) ask(kind netlink.HeaderType, flags netlink.HeaderFlags, header []byte, attributes *netlink.AttributeEncoder) ([]netlink.Message, error) {
	body := header
	if attributes != nil {
		encoded, err := attributes.Encode()
		if err != nil {
			return nil, err
		}
		body = append(body, encoded...)
	}
	return c.Execute(netlink.Message{Header: netlink.Header{Type: kind, Flags: netlink.Request | flags}, Data: body})
}

// errnoOf is the kernel's own error; ENODATA where it is none of the kernel's.
func errnoOf(err error) unix.Errno {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return unix.ENODATA
	}
	return errno
}
