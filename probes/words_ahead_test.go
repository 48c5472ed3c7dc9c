package probes_test

import (
	"io"
	"net"
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
