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

// speak is a plain service that hands each connection to f, and then closes it.
func speak(t *testing.T, node *harness.Node, port uint16, f func(*net.TCPConn)) {
	t.Helper()
	listener, err := node.Listen(t.Context(), "tcp", netip.AddrPortFrom(netip.IPv6Unspecified(), port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				f(conn.(*net.TCPConn))
			}()
		}
	}()
}

// mailer is a plain service that greets, and answers each line that begins with EHLO; it
// writes down what it reads.
func mailer(t *testing.T, node *harness.Node, greeting string) <-chan string {
	t.Helper()
	read := make(chan string, 100)
	speak(t, node, 25, func(conn *net.TCPConn) { serveMail(conn, greeting, read) })
	return read
}

func serveMail(conn net.Conn, greeting string, read chan<- string) {
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
		t.Fatal("the service read nothing")
		return ""
	}
}

const (
	greets = "220 mail.example ESMTP\r\n"
	long   = 20 * time.Second // for what ends by itself
)

// server4 is the server's first address.
var server4 = netip.MustParseAddr("10.0.2.1")

func TestWordsAreSaidInOrder(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	read := mailer(t, server, greets)
	said := probes.TCP(25).Within(long).Await("220").Send("EHLO a\r\n").AwaitMatch(regexp.MustCompile(`(?m)^250 \S`)).Send("QUIT\r\n").Await("221")
	for range 2 {
		result := ask(t, client, server4, said)
		if result.Outcome != probes.Answered || result.By != "server" {
			t.Error(result)
		}
		if got := next(t, read) + next(t, read); got != "EHLO a\r\nQUIT\r\n" {
			t.Errorf("the service read %q", got)
		}
	}
	g := gomega.NewWithT(t)
	g.Expect(client).To(probes.Reach(server, said))
	result, err := probes.Watch(t.Context(), client, server, said)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(result.Proven).To(gomega.BeTrue())
	g.Expect(result).To(probes.Reach(server, said))
	g.Expect(failures(func(g gomega.Gomega) { g.Expect(result).To(probes.Reach(server, said.Await("more"))) })).To(gomega.HaveLen(1), "another probe")
	const want = `
		        client   fw       server
		client  .        refused  ok
		fw      refused  .        ok
		server  refused  refused  .
	`
	g.Expect(probes.Survey(t.Context(), lab, said)).To(probes.MatchMatrix(want))
	g.Expect(probes.WatchSurvey(t.Context(), lab, said)).To(probes.MatchMatrix(want))
}

// What is not what was awaited is no answer, and is shown; nor is it isolation, which it
// disproves.
func TestAnUnexpectedAnswerIsShown(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server").On("dmz")
	mailer(t, lab.Node("server"), greets)
	speak(t, lab.Node("server"), 26, func(conn *net.TCPConn) { _, _ = io.WriteString(conn, "554 go away\r\n") })
	speak(t, lab.Node("server"), 27, func(conn *net.TCPConn) {
		_, _ = io.WriteString(conn, "220 hello\r\n")
		_, _ = conn.Read(make([]byte, 100))
		_ = conn.SetLinger(0)
	})
	speak(t, lab.Node("server"), 28, func(conn *net.TCPConn) {
		for flood := make([]byte, 1<<16); ; {
			if _, err := conn.Write(flood); err != nil {
				return
			}
		}
	})
	smtp, full := probes.TCP(25).Within(long), probes.TCP(26).Within(long)
	for want, p := range map[string]probes.Probe{
		`"554 go away\r\n" came, and its end, where "220" was awaited`:           full.Await("220"),
		`"554 go away\r\n" came, and its end, where a match of "^2" was awaited`: full.AwaitMatch(regexp.MustCompile("^2")),
		`nothing came, and its end, where "220" was awaited`:                     full.Await("554 go away\r\n").Await("220"),
		`"\r\n221 bye\r\n" came, and its end, where "250" was awaited`:           smtp.Await(strings.TrimSuffix(greets, "\r\n")).Send("HELO\r\n").Await("250"),
		`nothing came, and a reset, where "250" was awaited`:                     probes.TCP(27).Within(long).Await("hello\r\n").Send("EHLO x\r\n").Await("250"),
		`and more than 256 KiB in all, where "220" was awaited`:                  probes.TCP(28).Within(long).Await("220"),
	} {
		result := ask(t, client, server4, p)
		if result.Outcome == probes.Answered || !strings.HasSuffix(result.String(), want) {
			t.Errorf("%s, want %s", result, want)
		}
		if refused := strings.Contains(want, "a reset"); refused != (result.Outcome == probes.Refused) {
			t.Errorf("%s: refused is what is reset", result)
		}
		for name, matcher := range map[string]gomega.OmegaMatcher{"Reach": probes.Reach(server, p), "BeIsolatedFrom": probes.BeIsolatedFrom(server, p)} {
			said := failures(func(g gomega.Gomega) { g.Expect(client).To(matcher) })
			if len(said) != 1 || !strings.Contains(said[0], want) {
				t.Errorf("%s: %s", name, said)
			}
		}
		gomega.NewWithT(t).Expect(client).NotTo(probes.BeIsolatedFrom(server, p), want)
	}
}

// A service that says no more is waited for until the bound.
func TestWordsThatNeverCome(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	mailer(t, server, greets)
	p := probes.TCP(25).Within(2 * time.Second).Await(greets).Await("221")
	result := watch(t, client, server4, p)
	const want = `the connection was made, nothing came, where "221" was awaited`
	if result.Outcome != probes.Silent || result.RTT < 2*time.Second || result.Cause == nil || !strings.Contains(result.Cause.String(), want) {
		t.Errorf("%s: %v, want %s", result, result.Cause, want)
	}
	gomega.NewWithT(t).Expect(client).NotTo(probes.BeIsolatedFrom(server.On("dmz"), p))
}

// A service may say all that it has to say, and close or reset before anybody looks who has
// the connection.
func TestWordsOfAServiceThatIsGone(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	speak(t, server, 13, func(conn *net.TCPConn) { _, _ = io.WriteString(conn, "27 NOV 2026\r\n") })
	speak(t, server, 14, func(conn *net.TCPConn) {
		_, _ = io.WriteString(conn, "27 NOV 2026\r\n")
		_ = conn.SetLinger(0)
	})
	g := gomega.NewWithT(t)
	for range 10 {
		g.Expect(client).To(probes.Reach(server, probes.TCP(13).Within(long).Await("2026"), probes.TCP(14).Within(long).Await("2026")))
	}
}

// A rule that lets connections be made, and eats what is said, is named.
func TestARuleThatEatsWordsIsNamed(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet f { chain c { type filter hook forward priority 0; tcp sport 25 meta length > 80 drop comment "no mail"; }; }`))
	client, server := lab.Node("client"), lab.Node("server")
	mailer(t, server, strings.Repeat("220 mail.example ESMTP ", 10)+"\r\n")
	p := probes.TCP(25).Within(time.Second).Await("220")
	result, err := probes.Watch(t.Context(), client, server4, p)
	g := gomega.NewWithT(t)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(result.Outcome).To(gomega.Equal(probes.Silent))
	g.Expect(result.Cause.String()).To(gomega.And(gomega.ContainSubstring("no mail"), gomega.ContainSubstring("fw")), result.String())
	g.Expect(client).NotTo(probes.BeIsolatedFrom(server.On("dmz"), p), "what opens the connection arrives")
}

// Whoever else exchanges the words is not the target, though it may have its words from there.
func TestWordsOfSomebodyOnTheWay(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table ip nat { chain pre { type nat hook prerouting priority -100; ip daddr 10.0.2.1 tcp dport 25 redirect to :2525; ip daddr 10.0.1.2 tcp dport 26 dnat to 10.0.2.1:25; }; }`))
	client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
	mailer(t, server, greets)
	speak(t, fw, 2525, func(conn *net.TCPConn) {
		onward, err := fw.Dial(t.Context(), "tcp", netip.AddrPortFrom(server4, 25))
		if err != nil {
			return
		}
		defer onward.Close()
		go func() {
			_, _ = io.Copy(onward, conn)
			_ = onward.Close()
		}()
		_, _ = io.Copy(conn, onward)
	})
	smtp := func(port uint16) probes.Probe {
		return probes.TCP(port).Within(long).Await("220").Send("EHLO x\r\n").Await("250 ")
	}
	g := gomega.NewWithT(t)
	for _, to := range []probes.Target{server4, server.On("dmz")} {
		said := failures(func(g gomega.Gomega) { g.Expect(client).To(probes.Reach(to, smtp(25))) })
		g.Expect(said).To(gomega.ConsistOf(gomega.ContainSubstring("10.0.2.1 was answered by fw, not by server")))
	}
	g.Expect(client).To(probes.Reach(server4, smtp(25)).AnsweredBy("fw"))
	lan := fw.On("lan").Addrs()[0]
	g.Expect(client).To(probes.Reach(lan, smtp(26)).AnsweredBy("server"))
}

// What stops a probe with words is named, and controlled by mutation.
func TestWordsThatAreKeptAway(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet f { chain c { type filter hook forward priority 0; th dport 25 drop comment "no mail"; }; }`))
	client, server := lab.Node("client"), lab.Node("server")
	read := mailer(t, server, greets)
	g := gomega.NewWithT(t)
	g.Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server, probes.TCP(25).Await("220"))).At("fw").By("no mail"))
	g.Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server, probes.UDP(25).Send("hello?").Await("220"))).At("fw").By("no mail"))
	g.Expect(read).To(gomega.BeEmpty())
}

func TestWordsThatCannotBeSaid(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	for want, p := range map[string]probes.Probe{
		"Send and Await are for TCP and UDP": icmp.Send("x").Await("y"),
		"Send and Await of nothing":          web.Await(""),
		"say what":                           web.AwaitMatch(nil),
		"it matches where nothing has come":  web.AwaitMatch(regexp.MustCompile("a*")),
		"nothing is awaited after Send":      web.Await("x").Send("y"),
		"over UDP nobody speaks who was not": dns.Await("x"),
		"Send of 1001 bytes: there is room":  web.Send(strings.Repeat("x", 500)).Await("y").Send(strings.Repeat("x", 501)).Await("y"),
		"Send of 65508 bytes: there is room": dns.Send(strings.Repeat("x", 65508)).Await("y"),
		"Size and Send":                      dns.Size(100).Send("x").Await("y"),
	} {
		if _, err := probes.Ask(t.Context(), lab.Node("client"), lab.Node("server"), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
