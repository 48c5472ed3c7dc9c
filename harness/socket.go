package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

var errNoContext = errors.New("the context is nil: pass t.Context(), a SpecContext, or context.Background()")

// Dial connects from the node's namespace. The network is tcp, tcp4, tcp6, udp,
// udp4 or udp6. It takes an address and no name, so that none is resolved in the
// wrong place. The connection may be used from anywhere; close it.
func (n *Node) Dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	if ctx == nil {
		return nil, at(errNoContext, "node %s: dial %s", n.Name(), to)
	}
	var conn net.Conn
	err := n.Do(func() error {
		var err error
		dialer := net.Dialer{FallbackDelay: -1} // a second attempt would be on another goroutine
		dialer.SetMultipathTCP(false)
		conn, err = dialer.DialContext(ctx, network, to.String())
		return err
	})
	return conn, at(err, "node %s", n.Name())
}

// Listen listens on a stream in the node's namespace: tcp, tcp4 or tcp6. An
// invalid address (netip.AddrPortFrom(netip.Addr{}, 80)) is every address of the
// node. The listener may be used from anywhere; close it.
func (n *Node) Listen(ctx context.Context, network string, on netip.AddrPort) (net.Listener, error) {
	if ctx == nil {
		return nil, at(errNoContext, "node %s: listen at %s", n.Name(), on)
	}
	var listener net.Listener
	err := n.Do(func() error {
		var err error
		var config net.ListenConfig
		config.SetMultipathTCP(false)
		listener, err = config.Listen(ctx, network, local(on))
		return err
	})
	return listener, at(err, "node %s", n.Name())
}

// ListenPacket is Listen for datagrams: udp, udp4 or udp6.
func (n *Node) ListenPacket(ctx context.Context, network string, on netip.AddrPort) (net.PacketConn, error) {
	if ctx == nil {
		return nil, at(errNoContext, "node %s: listen at %s", n.Name(), on)
	}
	var conn net.PacketConn
	err := n.Do(func() error {
		var err error
		var config net.ListenConfig
		conn, err = config.ListenPacket(ctx, network, local(on))
		return err
	})
	return conn, at(err, "node %s", n.Name())
}

// local is an address to listen on; without one the port alone.
func local(on netip.AddrPort) string {
	if on.Addr().IsValid() {
		return on.String()
	}
	return fmt.Sprintf(":%d", on.Port())
}
