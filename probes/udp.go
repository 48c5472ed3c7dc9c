package probes

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// UDP asks with a datagram to a port. A responder of Serve answers, and signs;
// any answer counts; a port that nobody has is told by ICMP.
func UDP(port uint16) Probe { return Probe{kind: udpKind, port: port} }

var udpKind = &kind{
	name:      "udp",
	ports:     true,
	protocol:  wire.UDP,
	socket:    unix.SOCK_DGRAM,
	ask:       (*asking).udp,
	framed:    (*asking).framed,
	fragments: true,
	serve:     serveUDP,
	silence:   silentAfterLeaving,
}

// udp asks with a datagram.
func (a *asking) udp() error {
	if a.line != nil && a.line.socket != nil {
		a.port = a.line.port
		a.begin()
		return a.sayByDatagrams(a.line.socket)
	}
	fd, err := a.socket()
	if err != nil {
		return a.refusedLocally(err)
	}
	s, err := polled(fd)
	if err != nil {
		return err
	}
	defer a.release(s)
	if err := a.bindDatagrams(fd); err != nil {
		return a.refusedLocally(err)
	}
	a.begin()
	if err := unix.Connect(fd, a.sockaddr()); err != nil {
		return a.refusedLocally(err)
	}
	if metItself(fd) {
		return a.notConnected(unix.ECONNREFUSED)
	}
	return a.sayByDatagrams(s)
}

// sayByDatagrams says what is to be said from a socket that is connected.
func (a *asking) sayByDatagrams(s *socket) error {
	if a.probe.words != nil {
		return a.converseByDatagrams(s)
	}
	if a.line != nil {
		c := conversation{fd: s.fd, asking: a, buf: make([]byte, maxSize)}
		c.drain()
	}
	return a.askByDatagram(s)
}

// askByDatagram sends a request, and waits for any answer.
func (a *asking) askByDatagram(s *socket) error {
	fd, nonce := s.fd, a.nonce()
	request := make([]byte, a.probe.payload())
	copy(request, makeRequest(nonce))
	if err := unix.Send(fd, request, 0); err != nil {
		if q, ok := readQueue(fd); ok {
			a.failed(q)
			return nil
		}
		return a.refusedLocally(err)
	}
	return a.await(s, func() (done bool, err error) { return a.udpAnswer(s, nonce) })
}

// udpAnswer reads the answer or the ICMP error. Any answer counts: the socket
// is connected, so it came from the address that was asked.
func (a *asking) udpAnswer(s *socket, nonce [nonceSize]byte) (done bool, err error) {
	buf := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(s.fd, buf, unix.MSG_DONTWAIT)
		if err == nil {
			if _, ours := signer(buf[:n], nonce); a.line != nil && !ours && bytes.HasPrefix(buf[:n], []byte(answerWord)) {
				continue // to an earlier request
			}
			a.end(Answered, a.addr)
			a.signed(buf[:n], nonce)
			return true, nil
		}
		if q, ok := readQueue(s.fd); ok {
			a.failed(q)
			return true, nil
		}
		if err == unix.EAGAIN {
			return false, nil
		}
		if err != unix.EINTR && !isQueued(err) {
			return true, err
		}
	}
}

// serveUDP answers on every address.
func serveUDP(node *harness.Node, p Probe, running *sync.WaitGroup) (closers []func(), err error) {
	return serveDatagrams(node, running, func(v6 bool) (net.PacketConn, error) {
		network := map[bool]string{false: "udp4", true: "udp6"}[v6]
		return node.ListenPacket(context.Background(), network, netip.AddrPortFrom(netip.Addr{}, p.port))
	})
}

// serveDatagrams answers with a socket for each family that there is.
func serveDatagrams(node *harness.Node, running *sync.WaitGroup, listen func(v6 bool) (net.PacketConn, error)) (closers []func(), err error) {
	for _, v6 := range []bool{false, true} {
		conn, err := listen(v6)
		if err != nil {
			if v6 && !has(node, true) {
				continue // a kernel without IPv6
			}
			return closers, err
		}
		closers = append(closers, func() { _ = conn.Close() })
		running.Go(func() { answerDatagrams(conn, v6, signature(node)) })
	}
	return closers, nil
}

// answerDatagrams answers from the address that was asked: a node with several
// would otherwise answer from the one its route prefers.
func answerDatagrams(conn net.PacketConn, v6 bool, name string) {
	buf := make([]byte, maxSize)
	if v6 {
		p := ipv6.NewPacketConn(conn)
		_ = p.SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
		for {
			n, cm, from, err := p.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer, ok := answerTo(buf[:n], name); ok && cm != nil {
				_, _ = p.WriteTo(answer, &ipv6.ControlMessage{Src: cm.Dst, IfIndex: cm.IfIndex}, from)
			}
		}
	}
	p := ipv4.NewPacketConn(conn)
	_ = p.SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
	for {
		n, cm, from, err := p.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer, ok := answerTo(buf[:n], name); ok && cm != nil {
			_, _ = p.WriteTo(answer, &ipv4.ControlMessage{Src: cm.Dst}, from)
		}
	}
}
