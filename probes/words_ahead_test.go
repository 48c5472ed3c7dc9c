package probes_test

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/onsi/gomega"
)

// A service that says what is awaited before it is asked is no sign that what was sent arrived.
func TestWordsThatAreSaidAhead(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	read := make(chan string, 100)
	speak(t, server, 25, func(conn *net.TCPConn) {
		_, _ = io.WriteString(conn, "220 a\r\n250 b\r\n")
		text, _ := io.ReadAll(conn)
		read <- string(text)
	})
	p := probes.TCP(25).Within(500 * time.Millisecond).Await("220").Send("EHLO\r\n").Await("250")
	gomega.NewWithT(t).Expect(client).To(probes.Reach(server4, p))
	if got := next(t, read); got != "EHLO\r\n" {
		t.Fatalf("the control: %q was read", got)
	}

	if err := lab.Node("fw").Nft(`table inet f { chain c { type filter hook forward priority 0; tcp flags & psh == psh tcp dport 25 drop comment "data"; }; }`); err != nil {
		t.Fatal(err)
	}
	const want = "what was awaited came, but what was sent was not acknowledged: it was said before it was asked for"
	result := ask(t, client, server4, p)
	if result.Outcome == probes.Answered || !strings.HasSuffix(result.String(), want) {
		t.Errorf("%s", result)
	}
	watched, err := probes.Watch(t.Context(), client, server, p)
	if err != nil {
		t.Fatal(err)
	}
	if watched.Outcome == probes.Answered || watched.Cause == nil || !strings.Contains(watched.Cause.String(), `"data"`) {
		t.Errorf("%s: %v", watched, watched.Cause)
	}
	if said := failures(func(g gomega.Gomega) { g.Expect(client).To(probes.Reach(server, p)) }); len(said) != 1 || !strings.Contains(said[0], want) {
		t.Errorf("%q", said)
	}
	for len(read) > 0 {
		if got := <-read; got != "" {
			t.Errorf("%q was read", got)
		}
	}
}

// Nor is a datagram that came before what was sent then an answer to it.
func TestDatagramsThatAreSaidAhead(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(`table inet f { chain c { type filter hook forward priority 0; udp dport 53 @th,64,8 0x62 counter drop; }; }`))
	client, server := lab.Node("client"), lab.Node("server")
	conn, err := server.ListenPacket(t.Context(), "udp", netip.AddrPortFrom(netip.IPv6Unspecified(), 53))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		for buf := make([]byte, 64); ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo([]byte("b"), from) // ahead
			_, _ = conn.WriteTo(buf[:n], from)
		}
	}()
	p := probes.UDP(53).Within(500 * time.Millisecond).Send("a").Await("a")
	if result := ask(t, client, server4, p); result.Outcome != probes.Answered {
		t.Fatal("the control: ", result)
	}
	if result := ask(t, client, server4, p.Send("b").Await("b")); result.Outcome == probes.Answered {
		t.Errorf("%s: what was sent then was dropped", result)
	}
}
