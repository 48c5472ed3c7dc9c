package probes_test

import (
	"bufio"
	"context"
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

// ban keeps what opens a connection, and its like, away; bans keeps all.
const (
	bans = `table inet ban { chain c { type filter hook forward priority -1; iifname "lan" drop comment "banned"; }; }`
	ban  = `table inet ban { chain c { type filter hook forward priority -1; ct state new iifname "lan" drop comment "banned"; }; }`
	seen = `table inet track { chain c { type filter hook forward priority 0; ct state established accept; }; }` // connections are tracked
)

func connect(t *testing.T, from *harness.Node, to probes.Target, p probes.Probe) *probes.Connection {
	t.Helper()
	conn, err := probes.Connect(t.Context(), from, to, p)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// echoer is a plain service that says hello, and answers each line with itself in capitals.
func echoer(t *testing.T, node *harness.Node, port uint16) {
	t.Helper()
	speak(t, node, port, func(conn *net.TCPConn) {
		_, _ = io.WriteString(conn, "hello\n")
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			_, _ = io.WriteString(conn, strings.ToUpper(lines.Text())+"\n")
		}
	})
}

// What lives goes on where what is new is stopped, and no longer when all is.
func TestConnectionsThatLive(t *testing.T) {
	harness.Require(t, harness.NftTool)
	for name, p := range map[string]probes.Probe{
		"tcp": web, "udp": dns, "icmp": icmp,
		"words":              probes.TCP(7).Await("hello").Send("abc\n").Await("ABC\n"),
		"words by datagrams": probes.UDP(7).Send("abc").Await("ABC"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := harness.Up(t, office(seen))
			client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
			probes.Serve(t, server, web, dns)
			echoer(t, server, 7)
			answerBy(t, server, 7, func(text string) []string { return []string{strings.ToUpper(text)} })
			p := p.Within(long)
			g := gomega.NewWithT(t)
			conn := connect(t, client, server, p)
			for range 3 {
				g.Expect(conn.Watch(t.Context())).To(probes.Reach(server, p))
				result, err := conn.Ask(t.Context())
				g.Expect(err).NotTo(gomega.HaveOccurred())
				g.Expect(result.Outcome).To(gomega.Equal(probes.Answered), result.String())
			}

			g.Expect(fw.Nft(ban)).To(gomega.Succeed())
			g.Expect(conn.Watch(t.Context())).To(probes.Reach(server, p), "it was there before")
			g.Expect(client).To(probes.BeIsolatedFrom(server, p).By("banned"), "others were not")
			g.Expect(conn.Watch(t.Context())).To(probes.Reach(server, p))

			g.Expect(fw.Nft("flush ruleset; " + bans)).To(gomega.Succeed())
			for range 2 {
				g.Expect(conn.Watch(t.Context())).To(probes.BeIsolatedFrom(server, p).At("fw").By("banned"), "not this one either")
			}
			g.Expect(fw.Nft("flush ruleset")).To(gomega.Succeed())
			g.Expect(conn.Watch(t.Context())).To(probes.Reach(server, p), "the control")
			conn.Close()
			conn.Close()
			if _, err := conn.Ask(t.Context()); err == nil || !strings.Contains(err.Error(), "was closed") {
				t.Error(err)
			}
		})
	}
}

// Who resets a connection that lives is named, and then nothing more is asked over it.
func TestConnectionsThatAreReset(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, web)
	p := web.Within(long)
	conn := connect(t, client, server.On("dmz"), p)
	g := gomega.NewWithT(t)
	g.Expect(lab.Node("fw").Nft(`table inet f { chain c { type filter hook forward priority 0; tcp dport 80 reject with tcp reset; }; }`)).To(gomega.Succeed())
	g.Expect(conn.Watch(t.Context())).To(probes.BeRejectedBy("fw", server.On("dmz"), p))
	if _, err := conn.Ask(t.Context()); err == nil || !strings.Contains(err.Error(), "it has ended") {
		t.Error(err)
	}
}

// Over what lives a request comes also where its answer is stopped.
func TestConnectionsThatAreUnanswered(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet f { chain c { type filter hook forward priority 0; }; }`))
	client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
	echoer(t, server, 7)
	p := probes.TCP(7).Within(3 * time.Second).Await("hello").Send("abc\n").Await("ABC\n")
	conn := connect(t, client, server4, p)
	g := gomega.NewWithT(t)
	g.Expect(fw.Nft(`add rule inet f c tcp sport 7 drop comment "answers"`)).To(gomega.Succeed())
	g.Expect(conn.Watch(t.Context())).To(probes.BeUnansweredBy(server4, p).By("answers"))
	g.Expect(fw.Nft(`flush chain inet f c`)).To(gomega.Succeed())
	g.Eventually(conn.Watch).WithContext(t.Context()).WithTimeout(2 * long).Should(probes.Reach(server4, p))
}

// An answer to an earlier question that comes when the next question was stopped is not taken
// for an answer to that.
func TestConnectionsKnowEarlierAnswers(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet m { counter stopped { }; chain c { type filter hook forward priority 0; }; }`))
	client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
	served := make(chan net.Conn, 1)
	speak(t, server, 7, func(conn *net.TCPConn) {
		served <- conn
		_, _ = io.WriteString(conn, "hello\n")
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			_, _ = io.WriteString(conn, strings.ToUpper(lines.Text())+"\n")
		}
	})
	p := probes.TCP(7).Within(8 * time.Second).Await("hello").Send("abc\n").Await("ABC\n")
	conn := connect(t, client, server4, p)
	g := gomega.NewWithT(t)
	result, err := conn.Ask(t.Context())
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(result.Outcome).To(gomega.Equal(probes.Answered), result.String())

	g.Expect(fw.Nft(`add rule inet m c tcp dport 7 tcp flags & psh == psh counter name stopped drop comment "requests"`)).To(gomega.Succeed())
	type answer struct {
		result probes.Result
		err    error
	}
	asked := make(chan answer)
	go func() {
		result, err := conn.Ask(t.Context())
		asked <- answer{result, err}
	}()
	waitsFor(t, "the question is stopped", func() bool { return counted(t, fw, "stopped") > 0 })
	_, err = io.WriteString(<-served, "ABC\n")
	g.Expect(err).NotTo(gomega.HaveOccurred())
	second := <-asked
	g.Expect(second.err).NotTo(gomega.HaveOccurred())
	result = second.result
	g.Expect(result.Outcome).To(gomega.Equal(probes.Silent), result.String())
	g.Expect(result.String()).To(gomega.ContainSubstring("it was the answer to an earlier question"))
	g.Expect(conn.Watch(t.Context())).To(probes.BeIsolatedFrom(server4, p).By("requests"))
	g.Expect(fw.Nft(`flush chain inet m c`)).To(gomega.Succeed())
	g.Eventually(conn.Watch).WithContext(t.Context()).WithTimeout(2 * long).Should(probes.Reach(server4, p))
}

// An answer that comes too late is not taken for the next one's.
func TestConnectionsAreNotDeceivedByLateAnswers(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	first := make(chan bool, 1)
	conn, err := server.ListenPacket(t.Context(), "udp", netip.MustParseAddrPort("0.0.0.0:7"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		buf := make([]byte, 100)
		for i := 0; ; i++ {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if i == 1 {
				first <- true
				continue
			}
			_, _ = conn.WriteTo(buf[:n], from)
		}
	}()
	p := probes.UDP(7).Within(3 * time.Second).Send("a").Await("a")
	c := connect(t, client, server4, p)
	result, err := c.Ask(t.Context())
	if <-first; err != nil || result.Outcome != probes.Silent {
		t.Fatal(result, err)
	}
	if _, err := c.Ask(t.Context()); err == nil || !strings.Contains(err.Error(), "an answer may yet come") {
		t.Error(err)
	}
}

// Verdicts about a connection that lives are about that one: no other is asked in its place.
func TestConnectionsAreJudgedAsTheyAre(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server").On("dmz")
	answerBy(t, lab.Node("server"), 7, func(text string) []string { return []string{text} })
	p := probes.UDP(7).Within(long).Send("abc").Await("abc")
	conn := connect(t, client, server, p)
	g := gomega.NewWithT(t)
	result, err := conn.Ask(t.Context())
	g.Expect(err).NotTo(gomega.HaveOccurred())
	said := failures(func(g gomega.Gomega) { g.Expect(result).To(probes.Reach(server, p)) })
	g.Expect(said).To(gomega.ConsistOf(gomega.ContainSubstring("use the connection's Watch")))

	g.Expect(lab.Node("fw").Nft(bans)).To(gomega.Succeed())
	result, err = conn.Watch(t.Context())
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(result).To(probes.BeIsolatedFrom(server, p).By("banned"))
	_, err = probes.MustMatter(probes.BeIsolatedFrom(server, p)).Match(result)
	g.Expect(err).To(gomega.MatchError(gomega.ContainSubstring("a connection that lives has begun before")))
}

func TestWhatCannotBeConnected(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	speak(t, server, 9, func(conn *net.TCPConn) { _, _ = io.Copy(io.Discard, conn) })
	for want, p := range map[string]probes.Probe{
		"refused by server":      web.Within(long),
		"let a responder sign":   probes.TCP(9).Within(long),
		"is asked for no answer": probes.Protocol(47),
		"there is no port 0":     probes.TCP(0),
	} {
		if conn, err := probes.Connect(t.Context(), client, server, p); err == nil || conn != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	probes.Serve(t, server, web)
	conn := connect(t, client, server, web.Within(long))
	for i := 0; ; i++ {
		if _, err := conn.Ask(t.Context()); err != nil {
			if i < 10 || !strings.Contains(err.Error(), "connect anew") {
				t.Error(i, err)
			}
			break
		}
	}
	var no context.Context
	if _, err := conn.Ask(no); err == nil || !strings.Contains(err.Error(), "context is nil") {
		t.Error(err)
	}
}
