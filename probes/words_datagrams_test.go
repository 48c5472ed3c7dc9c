package probes_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/onsi/gomega"
)

// answerBy is a plain service that answers each datagram with what f makes of it, and writes
// down what it reads.
func answerBy(t *testing.T, node *harness.Node, port uint16, f func(string) []string) <-chan string {
	t.Helper()
	conn, err := node.ListenPacket(t.Context(), "udp", netip.AddrPortFrom(netip.IPv6Unspecified(), port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	read := make(chan string, 1000)
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			read <- string(buf[:n])
			for _, text := range f(string(buf[:n])) {
				_, _ = conn.WriteTo([]byte(text), from)
			}
		}
	}()
	return read
}

// ntp answers as a time server does (RFC 5905): version 4, mode 4.
func ntp(request string) []string {
	if len(request) != 48 || request[0] != 0x23 {
		return []string{"what?"}
	}
	return []string{"\x24" + request[1:]}
}

var timeProbe = probes.UDP(123).Within(long).Send("\x23" + strings.Repeat("\x00", 47)).Await("\x24")

func TestWordsByDatagrams(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	read := answerBy(t, server, 123, ntp)
	answerBy(t, server, 69, func(text string) []string { return []string{"first", "then " + text} })
	g := gomega.NewWithT(t)
	result := ask(t, client, server4, timeProbe)
	if result.Outcome != probes.Answered || result.By != "server" || next(t, read) != "\x23"+strings.Repeat("\x00", 47) {
		t.Error(result)
	}
	g.Expect(client).To(probes.Reach(server, timeProbe))
	seen := watch(t, client, server, timeProbe)
	g.Expect(seen.Proven).To(gomega.BeTrue(), seen.String())
	g.Expect(client).To(probes.Reach(server, probes.UDP(69).Within(long).Send("a").Await("then a").Send("b").Await("first").Await("n b")))

	const want = `"what?" came, where "\x01" was awaited`
	other := probes.UDP(123).Within(time.Second).Send("x").Await("\x01")
	result = ask(t, client, server4, other)
	if result.Outcome != probes.Silent || !strings.HasSuffix(result.String(), want) {
		t.Error(result)
	}
	for name, matcher := range map[string]gomega.OmegaMatcher{"Reach": probes.Reach(server.On("dmz"), other), "BeIsolatedFrom": probes.BeIsolatedFrom(server.On("dmz"), other)} {
		said := failures(func(g gomega.Gomega) { g.Expect(client).To(matcher) })
		if len(said) != 1 || !strings.Contains(said[0], want) {
			t.Errorf("%s: %s", name, said)
		}
	}
	g.Expect(client).NotTo(probes.BeIsolatedFrom(server.On("dmz"), other))
	g.Expect(client).To(probes.BeRefusedBy(server, probes.UDP(124).Within(long).Send("x").Await("y")))
}

// Those that say the same at once are not taken for one another: one is dropped, all others
// are answered.
func TestWordsOfManyAtOnce(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet f { chain c { type filter hook forward priority 0; udp sport 5005 drop comment "not that one"; }; }
		table ip nat { chain post { type nat hook postrouting priority 100; oifname "dmz" masquerade; }; }`))
	client, server := lab.Node("client"), lab.Node("server")
	answerBy(t, server, 123, ntp)
	results := make(chan error)
	for i := range uint16(8) {
		go func() {
			p := timeProbe.FromPort(5000 + i)
			result, err := probes.Watch(t.Context(), client, server, p)
			for _, r := range result.All() {
				dropped := r.Outcome == probes.Silent && r.Cause != nil && strings.Contains(r.Cause.String(), "not that one")
				if err == nil && (i == 5 && !dropped || i != 5 && (r.Outcome != probes.Answered || !r.Proven)) {
					err = fmt.Errorf("from port %d: %s: %v", 5000+i, r, r.Cause)
				}
			}
			results <- err
		}()
	}
	for range 8 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// Where translation changes both ports and addresses, words are followed all the same.
func TestWordsThroughTranslation(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table ip nat {
			chain pre { type nat hook prerouting priority -100; ip daddr 10.0.1.2 udp dport 123 dnat to 10.0.2.1:1123; }
			chain post { type nat hook postrouting priority 100; oifname "dmz" masquerade random; }
		}
		table inet f { chain c { type filter hook forward priority 0; udp dport 1124 drop comment "not there"; }; }`))
	client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
	answerBy(t, server, 1123, ntp)
	g := gomega.NewWithT(t)
	to := fw.On("lan").Addrs()[0]
	g.Expect(client).To(probes.Reach(to, timeProbe).AnsweredBy("server"))
	said := failures(func(g gomega.Gomega) { g.Expect(client).To(probes.Reach(to, timeProbe).AnsweredBy("fw")) })
	g.Expect(said).To(gomega.ConsistOf(gomega.ContainSubstring("10.0.1.2 was answered by server, not by fw")))
}
