package probes_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
)

// hears calls heard with the id of each echo request, or the source port of each
// datagram and connection, that arrives at a node, by plain sockets of its own.
func hears(t *testing.T, node *harness.Node, heard func(what string)) {
	t.Helper()
	var conns []net.PacketConn
	listen := func(network, address string) net.PacketConn {
		var conn net.PacketConn
		err := node.Do(func() (err error) {
			conn, err = net.ListenPacket(network, address)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		conns = append(conns, conn)
		return conn
	}
	echoes := func(conn net.PacketConn, request byte) {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if n >= 8 && buf[0] == request {
				heard(fmt.Sprintf("%s id %d", from, binary.BigEndian.Uint16(buf[4:])))
			}
		}
	}
	go echoes(listen("ip4:icmp", "0.0.0.0"), 8)
	go echoes(listen("ip6:ipv6-icmp", "::"), 128)
	go func(conn net.PacketConn) {
		buf := make([]byte, 1500)
		for {
			_, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			heard("udp " + from.String())
			_, _ = conn.WriteTo([]byte("yes"), from)
		}
	}(listen("udp", "[::]:53"))
}

// Whoever remembers connections would take a probe with an earlier one's id or port
// for a part of it.
func TestEveryProbeHasNumbersOfItsOwn(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	arrived := make(chan string, 1<<16)
	hears(t, server, func(what string) { arrived <- what })
	asked := 0
	for range 400 {
		for _, p := range []probes.Probe{icmp, dns} {
			for _, r := range each(ask(t, client, server, p)) {
				if r.Outcome != probes.Answered {
					t.Fatal(r)
				}
				asked++
			}
		}
	}
	grid := probes.Grid{From: []*harness.Node{client}, To: []probes.Target{server, server.On("dmz")}, Probes: []probes.Probe{icmp, icmp.Size(100), dns}}
	for range 50 {
		if matrix, err := grid.Survey(t.Context()); err != nil || matrix.Cell("client", "server") != "ok" {
			t.Fatalf("%v\n%s", err, matrix)
		}
		asked += 2 * 2 * len(grid.Probes)
	}
	seen := map[string]bool{}
	for range asked {
		select {
		case what := <-arrived:
			if seen[what] {
				t.Errorf("two probes were of %s", what)
			}
			seen[what] = true
		case <-time.After(patience):
			t.Fatalf("%d of %d arrived", len(seen), asked)
		}
	}
}

// Where there are few ports, they come again.
func TestPortsComeAgainWhereThereAreFew(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, web, dns)
	if err := client.SetSysctl("net.ipv4.ip_local_port_range", "40000 40003"); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		for _, p := range []probes.Probe{web, dns} {
			if r := ask(t, client, netip.MustParseAddr("10.0.2.1"), p); !r.Proven {
				t.Error(r)
			}
		}
	}
}

// A connection that was allowed once is no way for what is not allowed now.
func TestAProbeDoesNotRideOnAnEarlierOne(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet filter { chain forward { type filter hook forward priority 0; ct state established accept; }; }`))
	client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
	probes.Serve(t, server, web, dns)
	grid := probes.Grid{From: []*harness.Node{client}, To: []probes.Target{server}}
	for _, p := range []probes.Probe{icmp, web, dns} {
		grid.Probes = append(grid.Probes, p.Within(soon))
		for range 20 {
			for _, r := range each(ask(t, client, server, p)) {
				if r.Outcome != probes.Answered {
					t.Fatal(r)
				}
			}
		}
	}
	if err := fw.Nft("add rule inet filter forward meta l4proto { icmp, icmpv6, tcp, udp } ct state new drop"); err != nil {
		t.Fatal(err)
	}
	for _, p := range grid.Probes {
		for range 3 {
			for _, r := range each(ask(t, client, server, p)) {
				if r.Outcome != probes.Silent {
					t.Errorf("a new one: %s", r)
				}
			}
		}
	}
	if matrix, err := grid.Survey(t.Context()); err != nil || matrix.Cell("client", "server") != "silent" {
		t.Errorf("%v\n%s", err, matrix)
	}
}
