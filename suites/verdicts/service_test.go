package verdicts_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// service writes down what it is sent, by plain sockets: the judge, which shares
// nothing with what is judged.
type service struct {
	mu   sync.Mutex
	said []string // of each datagram, and of each stream's first bytes
	met  int      // streams accepted
}

func (s *service) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.said...)
}

func (s *service) accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.met
}

func (s *service) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, text)
}

// datagrams is a plain UDP service at a port of the node, or of one of its addresses
// alone, that answers "I am NAME" after a while; never when after is negative.
func datagrams(node *harness.Node, port uint16, after time.Duration, on ...netip.Addr) *service {
	GinkgoHelper()
	addr := netip.Addr{}
	if len(on) > 0 {
		addr = on[0]
	}
	return packets(node, netip.AddrPortFrom(addr, port), func(conn net.PacketConn, from net.Addr, _ []byte) {
		answer := func() { _, _ = conn.WriteTo([]byte("I am "+node.Name()), from) }
		switch {
		case after == 0:
			answer()
		case after > 0:
			time.AfterFunc(after, answer)
		}
	})
}

// packets is a plain UDP service that writes down what it reads, and then calls got.
func packets(node *harness.Node, at netip.AddrPort, got func(conn net.PacketConn, from net.Addr, text []byte)) *service {
	GinkgoHelper()
	s := new(service)
	conn, err := node.ListenPacket(context.Background(), "udp", at)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			s.note(string(buf[:n]))
			got(conn, from, buf[:n])
		}
	}()
	return s
}

// streams is a plain TCP service that accepts, writes down the first bytes, and
// greets when greets is true.
func streams(node *harness.Node, port uint16, greets bool, on ...netip.Addr) *service {
	GinkgoHelper()
	s, addr := new(service), netip.Addr{}
	if len(on) > 0 {
		addr = on[0]
	}
	listener, err := node.Listen(context.Background(), "tcp", netip.AddrPortFrom(addr, port))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(listener.Close)
	go s.accept(listener, func(conn net.Conn) { s.hear(conn, greets, node.Name()) })
	return s
}

// accept counts the streams that come, and hands each on.
func (s *service) accept(listener net.Listener, got func(conn net.Conn)) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.met++
		s.mu.Unlock()
		go got(conn)
	}
}

func (s *service) hear(conn net.Conn, greets bool, name string) {
	defer conn.Close()
	if greets {
		_, _ = conn.Write([]byte("I am " + name + "\n"))
	}
	buf := make([]byte, 2048)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		s.note(string(buf[:n]))
	}
}

// echoes is a plain service that writes down what it reads of each stream, and says it back.
func echoes(node *harness.Node, port uint16, options ...func(fd uintptr)) *service {
	GinkgoHelper()
	s := new(service)
	listener, err := node.Listen(context.Background(), "tcp", netip.AddrPortFrom(netip.Addr{}, port))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(listener.Close)
	for _, option := range options {
		raw, err := listener.(*net.TCPListener).SyscallConn()
		Expect(err).NotTo(HaveOccurred())
		Expect(raw.Control(option)).To(Succeed())
	}
	ctx, stop := context.WithCancel(context.Background()) // a reset may be dropped on its way
	DeferCleanup(stop)
	go s.accept(listener, func(conn net.Conn) {
		defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
		defer conn.Close()
		buf := make([]byte, 2048)
		for n, err := conn.Read(buf); err == nil; n, err = conn.Read(buf) {
			s.note(string(buf[:n]))
			_, _ = conn.Write(buf[:n])
		}
	})
	return s
}
