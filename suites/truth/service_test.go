package truth_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
)

// book is what the plain services of a lab have written down.
type book struct {
	mu      sync.Mutex
	entries []entry
	busy    int           // requests that were read and not answered yet
	wrote   chan struct{} // closed at the next entry, and then another
}

// entry is one request, or one connection.
type entry struct {
	node, network string
	text          string // what was sent; "" for a connection by itself
}

func newBook() *book { return &book{wrote: make(chan struct{})} }

func (b *book) write(e entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = append(b.entries, e)
	close(b.wrote)
	b.wrote = make(chan struct{})
}

func (b *book) work(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy += n
}

func (b *book) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.busy == 0
}

// since are the entries after the first n, and how many there are by now.
func (b *book) since(n int) ([]entry, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]entry(nil), b.entries[n:]...), len(b.entries)
}

// open starts the service with plain sockets. It says who it is: "I am web@site: "
// and the request.
func (s service) open(sc *scope, lab *harness.Lab, b *book) error {
	node := lab.Node(s.node)
	at := []netip.Addr{{}}
	switch {
	case s.on == ofLink:
		at = nil
		for _, addrs := range linkAddresses(node) {
			at = append(at, addrs...)
		}
	case s.on != "":
		at = []netip.Addr{netip.MustParseAddr(s.on)}
	case s.signed && s.network == udp:
		at = addressesNow(node) // each answers from where it was asked, as those of probes.Serve do
	}
	for _, addr := range at {
		if err := s.openAt(sc, node, netip.AddrPortFrom(addr, s.port), b); err != nil {
			return fmt.Errorf("%s: %w", s.source(), err)
		}
	}
	return nil
}

func (s service) openAt(sc *scope, node *harness.Node, at netip.AddrPort, b *book) error {
	ctx, stop := context.WithCancel(context.Background())
	sc.Cleanup(stop)
	if s.network == tcp {
		listener, err := node.Listen(ctx, tcp, at)
		if err != nil {
			return err
		}
		sc.Cleanup(func() { _ = listener.Close() })
		go s.accept(ctx, listener, b)
		return nil
	}
	conn, err := node.ListenPacket(ctx, udp, at)
	if err != nil {
		return err
	}
	sc.Cleanup(func() { _ = conn.Close() })
	go s.read(ctx, conn, b)
	return nil
}

func (s service) accept(ctx context.Context, listener net.Listener, b *book) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		b.write(entry{node: s.node, network: tcp})
		go func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil {
				return
			}
			b.work(1)
			b.write(entry{s.node, tcp, line})
			s.think(ctx)
			_, _ = conn.Write([]byte(s.says(line)))
			b.work(-1)
			_, _ = conn.Read(make([]byte, 1)) // the asker hangs up
		}()
	}
}

func (s service) read(ctx context.Context, conn net.PacketConn, b *book) {
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			if ctx.Err() != nil || strings.Contains(err.Error(), "closed") {
				return
			}
			continue // an ICMP error about an earlier answer
		}
		b.work(1)
		text := string(buf[:n])
		b.write(entry{s.node, udp, text})
		go func() {
			s.think(ctx)
			_, _ = conn.WriteTo([]byte(s.says(text)), from)
			b.work(-1)
		}()
	}
}

func (s service) says(request string) string {
	return fmt.Sprintf("I am %s: %s", s.node, request)
}

func (s service) think(ctx context.Context) { pause(ctx, s.slow) }

// pause lets time pass: a slow service, a slow link.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// serve starts the services of a lab: all of them plain, or those that sign as the
// library's own.
func (w *world) serve(s *scope, lab *harness.Lab, plain bool) *book {
	b := newBook()
	for _, service := range w.services {
		if service.signed && !plain {
			probes.Serve(s, lab.Node(service.node), service.probe())
			continue
		}
		if err := service.open(s, lab, b); err != nil {
			s.Fatalf("%v", err)
		}
	}
	return b
}

func (s service) probe() probes.Probe {
	if s.network == tcp {
		return probes.TCP(s.port)
	}
	return probes.UDP(s.port)
}

// addressesNow are all addresses that a node has, those on the loopback as well.
func addressesNow(node *harness.Node) (addrs []netip.Addr) {
	_ = node.Do(func() error {
		all, err := net.InterfaceAddrs()
		for _, a := range all {
			if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
				addrs = append(addrs, p.Addr())
			}
		}
		return err
	})
	return addrs
}
