package probes

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

func TestNumbersAreTakenOnceInAGeneration(t *testing.T) {
	t.Parallel()
	last := map[uint16]int{}
	n := &numbers{}
	for i := range 300_000 {
		number, ok := uint16(0), false
		if i%3 == 0 {
			number, ok = n.within(n.block())
		}
		if !ok {
			number = n.next()
		}
		if at, was := last[number]; was && i-at < generation {
			t.Fatalf("%d is taken again after %d others", number, i-at-1)
		}
		last[number] = i
	}
	n = &numbers{}
	block := n.block()
	for i := range blockSize {
		if number, ok := n.within(block); !ok || number/blockSize*blockSize != block || n.take(number) {
			t.Errorf("number %d of a block: %d, %v", i, number, ok)
		}
	}
	if number, ok := n.within(block); ok {
		t.Errorf("%d of a block that is used up", number)
	}
	n.forget()
	if _, ok := n.within(block); !ok {
		t.Error("all are fresh again")
	}
}

// A probe is sent from the address that is chosen for it: the target's own sockets
// write down whom they hear.
func TestAProbeIsSentFromItsSource(t *testing.T) {
	t.Parallel()
	network := topo.New("sources")
	lan := network.Switch("lan", "10.0.0.0/24", "fd00::/64")
	network.Host("from", lan.At("10.0.0.1").Also("10.0.0.77/24", "fd00::77/64"))
	network.Host("to", lan)
	lab := harness.Up(t, network)
	from, to := lab.Node("from"), lab.Node("to")
	heard := make(chan string, 64)
	hear := func(network, address string) {
		var conn net.PacketConn
		if err := to.Do(func() (err error) {
			conn, err = net.ListenPacket(network, address)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		go func() {
			buf := make([]byte, 1500)
			for {
				_, sender, err := conn.ReadFrom(buf)
				if err != nil {
					return
				}
				host := sender.String()
				if h, _, err := net.SplitHostPort(host); err == nil {
					host = h
				}
				if !strings.HasPrefix(host, "fe80:") {
					heard <- host
				}
			}
		}()
	}
	hear("ip4:icmp", "0.0.0.0")
	hear("ip6:ipv6-icmp", "::")
	hear("udp", "[::]:53")
	listener, err := to.Listen(t.Context(), "tcp", netip.AddrPortFrom(netip.Addr{}, 80))
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
			heard <- conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().String()
			_ = conn.Close()
		}
	}()
	for _, pair := range [][2]string{{"10.0.0.77", "10.0.0.2"}, {"10.0.0.1", "10.0.0.2"}, {"fd00::77", "fd00::2"}, {"fd00::1", "fd00::2"}} {
		for _, p := range []Probe{ICMP(), TCP(80), UDP(53).Within(brief)} {
			for range 2 {
				a, err := newAsking(t.Context(), from, to, "to", netip.MustParseAddr(pair[1]), p.From(netip.MustParseAddr(pair[0])))
				if err == nil {
					err = a.ask()
				}
				if err != nil || a.result.Outcome != Answered && p.kind.name != "udp" {
					t.Fatal(a.result, err)
				}
				for got := ""; got != pair[0]; {
					select {
					case got = <-heard:
					case <-time.After(20 * time.Second):
						t.Fatalf("%s from %s was not heard", p, pair[0])
					}
				}
			}
		}
	}
	a, err := newAsking(t.Context(), from, to, "to", netip.MustParseAddr("10.0.0.2"), UDP(53).From(netip.MustParseAddr("10.0.0.99")))
	if err != nil {
		t.Fatal(err)
	}
	err = a.ask()
	if err != nil || a.result.Outcome != Unsent || a.result.Errno != unix.EADDRNOTAVAIL {
		t.Errorf("from an address that it does not have: %v, %v", a.result, err)
	}
}
