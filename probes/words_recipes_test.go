package probes_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/onsi/gomega"
	"golang.org/x/net/dns/dnsmessage"
)

// The recipes of the example, with services that others wrote.
func TestRecipes(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	for port, start := range map[uint16]func(*httptest.Server){80: (*httptest.Server).Start, 443: (*httptest.Server).StartTLS} {
		service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" || r.Host != "server.example" {
				w.WriteHeader(http.StatusNotFound)
			}
		}))
		service.Config.ErrorLog = log.New(io.Discard, "", 0) // askers reset their connections
		_ = service.Listener.Close()
		var err error
		if service.Listener, err = server.Listen(t.Context(), "tcp", netip.AddrPortFrom(netip.IPv6Unspecified(), port)); err != nil {
			t.Fatal(err)
		}
		start(service)
		t.Cleanup(service.Close)
	}
	read := mailer(t, server, greets)
	answerBy(t, server, 53, nameServer)
	answerBy(t, server, 123, ntp)
	at := netip.MustParseAddr("10.0.2.1")
	g := gomega.NewWithT(t)
	for _, p := range []probes.Probe{
		httpGet("/", "server.example"), smtpHello("client.example"), tlsHello("server.example"), dnsQuery("server.example", at), ntpQuery(),
	} {
		g.Expect(client).To(probes.Reach(server, p.Within(long)), p.String())
	}
	g.Expect(next(t, read)).To(gomega.Equal("EHLO client.example\r\n"))
	for want, p := range map[string]probes.Probe{
		`HTTP/1.1 404 Not Found`:                     httpGet("/other", "server.example"),
		`where "\x00\x04\n\x00\x02\x01" was awaited`: dnsQuery("other.example", at).Within(time.Second),
	} {
		said := failures(func(g gomega.Gomega) { g.Expect(client).To(probes.Reach(server.On("dmz"), p)) })
		g.Expect(said).To(gomega.ConsistOf(gomega.ContainSubstring(want)))
	}
}

// nameServer is a name server that knows one name.
func nameServer(request string) []string {
	var m dnsmessage.Message
	if err := m.Unpack([]byte(request)); err != nil || len(m.Questions) != 1 {
		return nil
	}
	m.Response, m.RCode = true, dnsmessage.RCodeNameError
	if q := m.Questions[0]; q.Name.String() == "server.example." && q.Type == dnsmessage.TypeA {
		m.RCode = dnsmessage.RCodeSuccess
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: [4]byte{10, 0, 2, 1}},
		}}
	}
	answer, err := m.Pack()
	if err != nil {
		return nil
	}
	return []string{string(answer)}
}
