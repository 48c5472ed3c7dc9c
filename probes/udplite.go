package probes

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// UDPLite asks with a datagram of UDP-Lite (RFC 3828, IP protocol 136) to a port, as UDP does: a
// responder of Serve answers, and signs; any answer counts; a port that nobody has is told by ICMP.
// Rules about UDP do not match it (nft's "meta l4proto udplite", "udplite dport"; "-p udplite" of
// iptables). Connection tracking takes what comes in for invalid, and does not translate it, unless
// net.netfilter.nf_conntrack_checksum is 0: it reckons the checksum as UDP's. A kernel without UDP-Lite cannot ask: that is an error which satisfies
// errors.ErrUnsupported, and a test requires harness.UDPLite.
func UDPLite(port uint16) Probe { return Probe{kind: udpLiteKind, port: port} }

var udpLiteKind = &kind{
	name:      "udplite",
	ports:     true,
	protocol:  wire.UDPLite,
	socket:    unix.SOCK_DGRAM,
	transport: unix.IPPROTO_UDPLITE,
	ask:       (*asking).udp,
	framed:    (*asking).framed,
	fragments: true,
	serve:     serveUDPLite,
	silence:   silentAfterLeaving,
}

// haveUDPLite says whether this kernel has UDP-Lite.
var haveUDPLite = sync.OnceValue(func() bool { return inspect.HasDatagrams(unix.IPPROTO_UDPLITE) == nil })

// serveUDPLite answers on every address.
func serveUDPLite(node *harness.Node, p Probe, running *sync.WaitGroup) (closers []func(), err error) {
	return serveDatagrams(node, running, func(v6 bool) (conn net.PacketConn, err error) {
		err = node.Do(func() (err error) {
			conn, err = p.listenLite(v6)
			return err
		})
		return conn, err
	})
}

// listenLite listens at the probe's port, in the calling thread's namespace.
func (p Probe) listenLite(v6 bool) (net.PacketConn, error) {
	domain, at := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(p.port)})
	if v6 {
		domain, at = unix.AF_INET6, &unix.SockaddrInet6{Port: int(p.port)}
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDPLITE)
	if err != nil {
		return nil, p.unspeakable(err)
	}
	file := os.NewFile(uintptr(fd), p.String())
	defer func() { _ = file.Close() }() // the connection has a descriptor of its own
	if v6 {
		if err := unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return nil, err
		}
	}
	if err := unix.Bind(fd, at); err != nil {
		return nil, fmt.Errorf("listen at %s: %w", p, err)
	}
	return net.FilePacketConn(file)
}

// unspeakable is the error of a socket that could not be made: a kernel may not have the protocol.
func (p Probe) unspeakable(err error) error {
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return fmt.Errorf("open socket: this kernel does not have %s: %w", p.kind.name, errors.ErrUnsupported)
	}
	return fmt.Errorf("open socket: %w", err)
}
