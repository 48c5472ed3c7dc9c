package fence

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
)

// World is what is outside of a sandbox, as far as its fence is to be tried on it.
type World struct {
	// Outside stands for the Internet: where what leaves the sandbox would arrive. It must
	// be a node of the sandbox's lab, and needs no listeners.
	Outside *harness.Node
	// Free sends the controls: a node that has the sandbox's way out, and no fence. Best is
	// another one on the sandbox's own link.
	Free *harness.Node
	// Gateway is the sandbox's host, whose own addresses are tried; nil is not tried.
	Gateway *harness.Node
	// Sibling is another on the sandbox's link, whose fence it is as well; nil is not tried.
	Sibling *harness.Node
	// Metadata, Private and Resolver are addresses behind the gateway that some node has:
	// 169.254.169.254, one of RFC 1918, and the resolver that the sandbox is told to use.
	// The zero Addr is not tried.
	Metadata, Private, Resolver netip.Addr
	// TCP and UDP are ports that Outside is asked at; 0 is 8080, and 9999.
	TCP, UDP uint16
	// Proxy is an HTTP proxy that the sandbox may use; nil is not tried.
	Proxy *Proxy
	// Before is a connection from the sandbox that was open before its fence closed; nil
	// is not tried.
	Before *Connection
	// Sockets are paths of the machine's unix sockets (/run/docker.sock), looked for below
	// Root: /proc/PID/root for a process of the sandbox. Without Root none is tried.
	Sockets []string
	Root    string
	// Abstract are names of abstract unix sockets, without the leading @.
	Abstract []string
}

// Proxy is an HTTP proxy with a list of names.
type Proxy struct {
	Addr netip.AddrPort
	// Allowed and Denied are host:port that it is to connect to, and is not to.
	Allowed, Denied string
}

// Connection is a TCP connection from a sandbox, both ends of it. It is for one check: once
// something is lost of it TCP waits longer and longer before it sends again.
type Connection struct {
	inside, outside net.Conn
	spent           bool // what was sent is lost, and TCP sends no more for long
}

// Connect opens one to the world's Outside, at its TCP port, and passes data both ways:
// it is called before the fence closes. The caller closes it.
func Connect(ctx context.Context, sandbox *harness.Node, world World) (*Connection, error) {
	if ctx == nil {
		return nil, fmt.Errorf("connect: %w", errNoContext)
	}
	if sandbox.Lab() == nil || world.Outside.Lab() == nil {
		return nil, errors.New("connect: the sandbox, or World.Outside, is nil")
	}
	addr, ok := addrOf(sandbox, world.Outside, false)
	if !ok {
		return nil, fmt.Errorf("connect: %s and %s have no IPv4 address", sandbox, world.Outside)
	}
	to := netip.AddrPortFrom(addr, world.tcp())
	listener, err := world.Outside.Listen(ctx, "tcp", to)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer listener.Close()
	inside, err := sandbox.Dial(ctx, "tcp", to)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	outside, err := listener.Accept()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect: %w", err), inside.Close())
	}
	c := &Connection{inside: inside, outside: outside}
	if !c.passes(ctx) {
		return nil, errors.Join(errors.New("connect: what was sent did not arrive"), c.Close())
	}
	return c, nil
}

// Close ends it.
func (c *Connection) Close() error {
	if c == nil || c.inside == nil {
		return nil
	}
	return errors.Join(c.inside.Close(), c.outside.Close())
}

func (w World) tcp() uint16 {
	if w.TCP == 0 {
		return 8080
	}
	return w.TCP
}

func (w World) udp() uint16 {
	if w.UDP == 0 {
		return 9999
	}
	return w.UDP
}

// addrOf is the address of a node that another would ask, of a family.
func addrOf(from, to *harness.Node, v6 bool) (netip.Addr, bool) {
	if to == nil {
		return netip.Addr{}, false
	}
	if to.Lab() == from.Lab() {
		return from.Lab().Plan().Nearest(from.Name(), to.Name(), v6)
	}
	addrs := to.Addrs()
	at := slices.IndexFunc(addrs, func(a netip.Addr) bool { return a.Is6() == v6 })
	if at < 0 {
		return netip.Addr{}, false
	}
	return addrs[at], true
}
