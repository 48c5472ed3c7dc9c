package probes

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Serve answers TCP and UDP probes at a node until the test ends, on every
// address. It signs each answer with the node's name and the probe's nonce, so
// that one from the wrong owner of an address is told. A port that is taken, or
// an ICMP probe, which kernels answer by themselves, fails the test.
func Serve(tb harness.TB, node *harness.Node, probes ...Probe) {
	tb.Helper()
	var stop []func()
	var running sync.WaitGroup
	tb.Cleanup(func() {
		for _, f := range stop {
			f()
		}
		running.Wait()
	})
	for _, p := range probes {
		closers, err := serve(node, p, &running)
		stop = append(stop, closers...)
		if err != nil {
			tb.Fatalf("serve %s at %s: %v", p, node, err)
			return
		}
	}
}

// serve starts the responders of one probe; what they hold is closed by closers.
func serve(node *harness.Node, p Probe, running *sync.WaitGroup) (closers []func(), err error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	at := netip.AddrPortFrom(netip.Addr{}, p.port)
	switch p.kind {
	case kindTCP:
		listener, err := node.Listen(context.Background(), "tcp", at)
		if err != nil {
			return nil, err
		}
		ctx, stop := context.WithCancel(context.Background())
		closers = append(closers, func() { _ = listener.Close(); stop() })
		running.Go(func() { answerStreams(ctx, listener, node.Name(), running) })
	case kindUDP:
		for _, network := range []string{"udp4", "udp6"} {
			conn, err := node.ListenPacket(context.Background(), network, at)
			if err != nil {
				if network == "udp6" && !has(node, true) {
					continue // a kernel without IPv6
				}
				return closers, err
			}
			closers = append(closers, func() { _ = conn.Close() })
			running.Go(func() { answerDatagrams(conn, network == "udp6", node.Name()) })
		}
	default:
		return nil, fmt.Errorf("every kernel answers %s by itself", p)
	}
	return append(closers, began(node.Lab(), service{node.Name(), p})), nil
}

// streamBound is how long a connected asker may take over its request.
const streamBound = 5 * time.Second

// answerStreams answers until the listener is closed; connections that are
// still open then end with ctx.
func answerStreams(ctx context.Context, listener net.Listener, name string, running *sync.WaitGroup) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		running.Go(func() {
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(streamBound))
			request := make([]byte, requestSize)
			if _, err := io.ReadFull(conn, request); err != nil {
				return
			}
			if answer, ok := answerTo(request, name); ok {
				_, _ = conn.Write(answer)
			}
			_, _ = io.Copy(io.Discard, conn) // the asker hangs up first
		})
	}
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
