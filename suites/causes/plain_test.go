package causes_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// plain is a service of a test's own, and the judge: it writes down who came, and what
// was sent.
type plain struct {
	mu    sync.Mutex
	heard []string
}

func (p *plain) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = append(p.heard, what)
}

// came is how often somebody came.
func (p *plain) came() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.heard)
}

// hears accepts connections at a node's port, reads, and says nothing.
func hears(ctx context.Context, node *harness.Node, port uint16) *plain {
	GinkgoHelper()
	return accepts(ctx, node, port, func(conn net.Conn) {
		go func() {
			defer conn.Close()
			_, _ = io.Copy(io.Discard, conn)
		}()
	})
}

// accepts accepts connections at a node's port, notes who came, and then calls came.
func accepts(ctx context.Context, node *harness.Node, port uint16, came func(net.Conn)) *plain {
	GinkgoHelper()
	p := &plain{}
	listener, err := node.Listen(ctx, "tcp", netip.AddrPortFrom(netip.Addr{}, port))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.note(conn.RemoteAddr().String())
			came(conn)
		}
	}()
	return p
}

// echo sends back what comes to a node's UDP port, from the address that was asked.
func echo(ctx context.Context, node *harness.Node, at netip.AddrPort) *plain {
	GinkgoHelper()
	p := &plain{}
	conn, err := node.ListenPacket(ctx, "udp", at)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			p.note(from.String())
			_, _ = conn.WriteTo(buf[:n], from)
		}
	}()
	return p
}
