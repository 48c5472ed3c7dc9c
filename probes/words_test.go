package probes_test

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/onsi/gomega"
)

// mailer is a plain service that greets, and answers each line that begins with EHLO; it
// writes down what it reads.
func mailer(t *testing.T, node *harness.Node, greeting string) <-chan string {
	t.Helper()
	listener, err := node.Listen(t.Context(), "tcp", netip.MustParseAddrPort("[::]:25"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	read := make(chan string, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveMail(conn, greeting, read)
		}
	}()
	return read
}

func serveMail(conn net.Conn, greeting string, read chan<- string) {
	defer conn.Close()
	_, _ = io.WriteString(conn, greeting)
	lines := bufio.NewReader(conn)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		read <- line
		if !strings.HasPrefix(line, "EHLO") {
			_, _ = io.WriteString(conn, "221 bye\r\n")
			return
		}
		_, _ = io.WriteString(conn, "250-PIPELINING\r\n")
		_, _ = io.WriteString(conn, "250 8BITMIME\r\n")
	}
}

func next(t *testing.T, read <-chan string) string {
	t.Helper()
	select {
	case line := <-read:
		return line
	case <-time.After(20 * time.Second):
		t.Fatal("the service read no line")
		return ""
	}
}

const greets = "220 mail.example ESMTP\r\n"

func TestWordsAreSaidInOrder(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	read := mailer(t, server, greets)
	said := probes.TCP(25).Within(20 * time.Second).Await("220").Send("EHLO a\r\n").AwaitMatch(regexp.MustCompile(`(?m)^250 \S`)).Send("QUIT\r\n").Await("221")
	for range 2 {
		result := ask(t, client, netip.MustParseAddr("10.0.2.1"), said)
		for _, r := range each(result) {
			if r.Outcome != probes.Answered || r.By != "server" {
				t.Error(r)
			}
			if got := next(t, read) + next(t, read); got != "EHLO a\r\nQUIT\r\n" {
				t.Errorf("the service read %q", got)
			}
		}
	}
	g := gomega.NewWithT(t)
	g.Expect(client).To(probes.Reach(server, said))
	result, err := probes.Watch(t.Context(), client, server, said)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(result.Proven).To(gomega.BeTrue())
	g.Expect(result).To(probes.Reach(server, said))
	g.Expect(failures(func(g gomega.Gomega) { g.Expect(result).To(probes.Reach(server, said.Await("more"))) })).To(gomega.HaveLen(1), "another probe")
}

// What is not what was awaited is no answer, and is shown; nor is it isolation.
func TestAnUnexpectedAnswerIsShown(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server").On("dmz")
	mailer(t, lab.Node("server"), "554 go away\r\n")
	smtp := probes.TCP(25).Within(400 * time.Millisecond)
	for want, p := range map[string]probes.Probe{
		`"554 go away\r\n" came, where "220" was awaited`:                      smtp.Await("220"),
		`"554 go away\r\n" came, where a match of ^2 was awaited`:              smtp.AwaitMatch(regexp.MustCompile("^2")),
		`nothing came, where "220" was awaited`:                                smtp.Await("554 go away\r\n").Await("220"),
		`" go away\r\n221 bye\r\n" came, and its end, where "250" was awaited`: smtp.Await("554").Send("HELO\r\n").Await("250"),
	} {
		result := ask(t, client, netip.MustParseAddr("10.0.2.1"), p)
		if result.Outcome != probes.Silent || !strings.HasSuffix(result.String(), want) {
			t.Errorf("%s, want %s", result, want)
		}
		for name, matcher := range map[string]gomega.OmegaMatcher{"Reach": probes.Reach(server, p), "BeIsolatedFrom": probes.BeIsolatedFrom(server, p)} {
			said := failures(func(g gomega.Gomega) { g.Expect(client).To(matcher) })
			if len(said) != 1 || !strings.Contains(said[0], want) {
				t.Errorf("%s: %s", name, said)
			}
		}
	}
}

// A rule that lets connections be made, and eats what is said, is named.
func TestARuleThatEatsWordsIsNamed(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet f { chain c { type filter hook forward priority 0; tcp sport 25 meta length > 80 drop comment "no mail"; }; }`))
	client, server := lab.Node("client"), lab.Node("server")
	mailer(t, server, strings.Repeat("220 mail.example ESMTP ", 10)+"\r\n")
	result, err := probes.Watch(t.Context(), client, netip.MustParseAddr("10.0.2.1"), probes.TCP(25).Within(400*time.Millisecond).Await("220"))
	g := gomega.NewWithT(t)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(result.Outcome).To(gomega.Equal(probes.Silent))
	g.Expect(result.Cause.String()).To(gomega.And(gomega.ContainSubstring("no mail"), gomega.ContainSubstring("fw")), result.String())
}

func TestWordsThatCannotBeSaid(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	for want, p := range map[string]probes.Probe{
		"Send and Await are for TCP: udp has no connection": dns.Send("x"),
		"Send and Await of nothing":                         web.Await(""),
	} {
		if _, err := probes.Ask(t.Context(), lab.Node("client"), lab.Node("server"), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
