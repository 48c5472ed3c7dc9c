package probes_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"regexp"
	"strings"

	"github.com/nstest/nstest/probes"
	. "github.com/onsi/gomega"
)

// Services that answer as they should, in their own words.
func ExampleProbe_Await() {
	t, _, lab := given()
	client, server := lab.Node("client"), lab.Node("server")
	g := NewWithT(t)
	g.Expect(client).To(probes.Reach(server, httpGet("/", "server.example"), smtpHello("client.example"), tlsHello("server.example")))
	g.Expect(client).To(probes.Reach(server, dnsQuery("server.example", netip.MustParseAddr("10.0.2.1")), ntpQuery()))
}

// httpGet gets a page over HTTP (RFC 9112).
func httpGet(path, host string) probes.Probe {
	return probes.TCP(80).
		Send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n").
		AwaitMatch(regexp.MustCompile(`^HTTP/1\.\d 200 `))
}

// smtpHello greets a mail server, and says goodbye (RFC 5321).
func smtpHello(own string) probes.Probe {
	return probes.TCP(25).
		Await("220").
		Send("EHLO " + own + "\r\n").AwaitMatch(regexp.MustCompile(`(?m)^250 `)).
		Send("QUIT\r\n").Await("221")
}

// tlsHello begins with TLS, and awaits the record of the server's half (RFC 8446: a handshake,
// type 22). Its hello is crypto/tls's own, with a key of the old size: there is room for 1,000
// bytes.
func tlsHello(name string) probes.Probe {
	var hello writes
	_ = tls.Client(&hello, &tls.Config{ServerName: name, CurvePreferences: []tls.CurveID{tls.X25519}}).Handshake()
	return probes.TCP(443).Send(hello.String()).Await("\x16\x03")
}

// writes is a connection that keeps what is written, and ends when something is read.
type writes struct {
	net.Conn
	bytes.Buffer
}

func (w *writes) Write(p []byte) (int, error) { return w.Buffer.Write(p) }
func (w *writes) Read([]byte) (int, error)    { return 0, net.ErrClosed }
func (w *writes) Close() error                { return nil }

// dnsQuery asks a name server for an IPv4 address (RFC 1035), with number 0x1234: the answer has
// that number, and then the address, in four bytes.
func dnsQuery(name string, addr netip.Addr) probes.Probe {
	query := "\x12\x34\x01\x00" + "\x00\x01\x00\x00\x00\x00\x00\x00"
	for _, label := range strings.Split(name, ".") {
		query += string(rune(len(label))) + label
	}
	query += "\x00" + "\x00\x01" + "\x00\x01"
	return probes.UDP(53).Send(query).Await("\x12\x34").Await("\x00\x04" + string(addr.AsSlice()))
}

// ntpQuery asks for the time (RFC 5905): version 4, mode 3, and mode 4 comes back.
func ntpQuery() probes.Probe {
	return probes.UDP(123).Send("\x23" + strings.Repeat("\x00", 47)).Await("\x24")
}
