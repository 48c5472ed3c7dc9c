package watch_test

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/wire"
)

// serve answers at a port of a node, by UDP with a signature, and accepts by TCP.
func serve(t *testing.T, node *harness.Node, port uint16) {
	t.Helper()
	serveUDP(t, node, port, func(nonce string) string {
		return wire.AnswerWord + hex.EncodeToString([]byte(nonce)) + " " + node.Name() + "\n"
	})
	serveTCP(t, node, port)
}

// serveUDP answers requests with what answer makes of their nonce.
func serveUDP(t *testing.T, node *harness.Node, port uint16, answer func(nonce string) string) {
	t.Helper()
	conn, err := node.ListenPacket(t.Context(), "udp", netip.AddrPortFrom(netip.Addr{}, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if nonce, ok := strings.CutPrefix(string(buf[:n]), wire.RequestWord); ok {
				_, _ = conn.WriteTo([]byte(answer(nonce)), from) // it may be dropped right here
			}
		}
	}()
}

// serveTCP has the kernel accept.
func serveTCP(t *testing.T, node *harness.Node, port uint16) {
	t.Helper()
	listener, err := node.Listen(t.Context(), "tcp", netip.AddrPortFrom(netip.Addr{}, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
}
