package watch

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// passes runs the program on a packet. The virtual machine has no skb, so the
// packet's protocol is put where the program asks for it.
func passes(t *testing.T, program []unix.SockFilter, protocol uint32, data []byte) bool {
	t.Helper()
	raw := make([]bpf.RawInstruction, len(program))
	for i, p := range program {
		raw[i] = bpf.RawInstruction{Op: p.Code, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	instructions, whole := bpf.Disassemble(raw)
	if !whole {
		t.Fatal("the program does not disassemble")
	}
	if instructions[0] != (bpf.LoadExtension{Num: bpf.ExtProto}) {
		t.Fatalf("the program begins with %v", instructions[0])
	}
	instructions[0] = bpf.LoadConstant{Dst: bpf.RegA, Val: protocol}
	vm, err := bpf.NewVM(instructions)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	if n != 0 && n != min(snapLength, len(data)) && n != snapLength {
		t.Errorf("%d bytes pass", n)
	}
	return n != 0
}

func etherType(data []byte) uint32 {
	if len(data) > 0 && data[0]>>4 == 6 {
		return unix.ETH_P_IPV6
	}
	return unix.ETH_P_IP
}

// lightly is a datagram as UDP-Lite has it.
func lightly(datagram []byte) []byte {
	next := map[uint32]int{unix.ETH_P_IP: 9, unix.ETH_P_IPV6: 6}[etherType(datagram)]
	datagram[next] = unix.IPPROTO_UDPLITE
	return datagram
}

// testMark is a watch's.
var testMark = mark{echo: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, isn: 0xabc00000}

func mustFilter(t *testing.T, ports ...uint16) []unix.SockFilter {
	t.Helper()
	program, err := testMark.filter(ports, false)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func TestFilter(t *testing.T) {
	t.Parallel()
	program := mustFilter(t, 53, 80)
	nonce := testNonce(1)
	for _, c := range []struct{ client, server netip.Addr }{{client4, server4}, {client6, server6}} {
		client, server := ap(c.client, 40000), ap(c.server, 53)
		word := udp(client, ap(c.server, 9999), ask(nonce))
		for name, p := range map[string]struct {
			data []byte
			want bool
		}{
			"an echo request":                {echo(c.client, c.server, false, 1, 1, testMark.echo[:]), true},
			"an echo reply":                  {echo(c.server, c.client, true, 1, 1, testMark.echo[:]), true},
			"another's echo request":         {echo(c.client, c.server, false, 1, 1, make([]byte, 8)), false},
			"an echo without a payload":      {echo(c.client, c.server, false, 1, 1, nil), false},
			"an ICMP error":                  {unreachable(c.server, word), true},
			"a SYN":                          {tcp(client, server, wire.SYN, testMark.isn+1, 0), true},
			"another's SYN":                  {tcp(client, server, wire.SYN, 1, 0), false},
			"a SYN,ACK":                      {tcp(server, client, wire.SYN|wire.ACK, 1, testMark.isn+2), true},
			"a reset":                        {tcp(server, client, wire.RST|wire.ACK, 0, testMark.isn+1), true},
			"a segment":                      {tcp(client, server, wire.ACK, testMark.isn+9, 2), true},
			"another's segment":              {tcp(client, server, wire.ACK, 1, 2), false},
			"the last segment":               {tcp(client, server, wire.FIN|wire.ACK, 1, 2), false},
			"a datagram to a port":           {udp(client, server, nil), true},
			"a datagram of UDP-Lite":         {lightly(udp(client, server, nil)), true},
			"one of another's":               {lightly(udp(client, ap(c.server, 54), []byte("nothing here"))), false},
			"a datagram from a port":         {udp(server, client, nil), true},
			"a datagram of another":          {udp(client, ap(c.server, 54), []byte("nothing here")), false},
			"a datagram of another, empty":   {udp(client, ap(c.server, 54), nil), false},
			"a request to a port translated": {word, true},
			"an answer from one":             {udp(ap(c.server, 9999), client, signed(nonce)), true},
			"another protocol":               {ip(c.client, c.server, 132, make([]byte, 20)), false},
			"another protocol with the mark": {ip(c.client, c.server, 47, append(make([]byte, 8), testMark.echo[:]...)), true},
			"an INIT":                        {sctp(client, server, wire.Init, 0, testMark.isn+1), true},
			"another's INIT":                 {sctp(client, server, wire.Init, 0, 1), false},
			"an INIT ACK":                    {sctp(server, client, wire.InitAck, testMark.isn+1, 1), true},
			"an ABORT":                       {sctp(server, client, wire.Abort, testMark.isn+1, 0), true},
			"another's ABORT":                {sctp(server, client, wire.Abort, 1, 0), false},
			"SCTP with the mark":             {ip(c.client, c.server, 132, append(append(make([]byte, 8), testMark.echo[:]...), make([]byte, 8)...)), true},
			"the header alone":               {ip(c.client, c.server, unix.IPPROTO_UDP, nil), false},
		} {
			if got := passes(t, program, etherType(p.data), p.data); got != p.want {
				t.Errorf("%s of %s passes: %v", name, c.client, got)
			}
		}
	}
}

func TestFilterFindsTheHeader(t *testing.T) {
	t.Parallel()
	program := mustFilter(t, 53)
	client, server := ap(client4, 40000), ap(server4, 53)
	for name, p := range map[string]struct {
		data []byte
		want bool
	}{
		"a SYN behind options":         {withOptions(tcp(client, server, wire.SYN, testMark.isn, 0), 4), true},
		"a segment behind options":     {withOptions(tcp(client, server, wire.ACK, 1, 0), 40), false},
		"a datagram behind options":    {withOptions(udp(client, server, nil), 40), true},
		"a request behind options":     {withOptions(udp(client, ap(server4, 9), ask(testNonce(1))), 12), true},
		"another's behind options":     {withOptions(udp(client, ap(server4, 9), make([]byte, 16)), 12), false},
		"a first fragment":             {fragmentAt(udp(client, server, nil), 0x2000), true},
		"a later fragment":             {fragmentAt(udp(client, server, nil), 0x2001), false},
		"the last fragment":            {fragmentAt(echo(client4, server4, false, 1, 1, nil), 185), false},
		"not to be fragmented":         {fragmentAt(udp(client, server, nil), 0x4000), true},
		"an extension header":          {ip(client6, server6, unix.IPPROTO_HOPOPTS, make([]byte, 40)), false},
		"an IPv4 header in IPv6's":     {ip(client6, server6, unix.IPPROTO_IPIP, udp(client, server, nil)), false},
		"a packet that is not whole":   {udp(client, server, nil)[:21], false},
		"nothing of it":                {nil, false},
		"a datagram without its word":  {udp(client, ap(server4, 9), []byte("nst")), false},
		"a datagram with half of it":   {udp(client, ap(server4, 9), []byte("nste")), true},
		"a word in upper case":         {udp(client, ap(server4, 9), []byte("NSTEST? ")), false},
		"port 53 in the IP options":    {withOptions(udp(client, ap(server4, 54), make([]byte, 8)), 8), false},
		"the port's number as a check": {udp(ap(client4, 0x3500), ap(server4, 0x3500), make([]byte, 8)), false},
	} {
		if got := passes(t, program, etherType(p.data), p.data); got != p.want {
			t.Errorf("%s passes: %v", name, got)
		}
	}
}

func TestFilterOfOtherFrames(t *testing.T) {
	t.Parallel()
	program := mustFilter(t)
	arp := make([]byte, 28)
	for protocol, want := range map[uint32]bool{unix.ETH_P_ARP: true, unix.ETH_P_LLDP: false, unix.ETH_P_8021Q: false, 0: false} {
		if got := passes(t, program, protocol, arp); got != want {
			t.Errorf("protocol %#x passes: %v", protocol, got)
		}
	}
	if data := udp(ap(client4, 1), ap(server4, 53), nil); passes(t, program, unix.ETH_P_IP, data) {
		t.Error("without ports a datagram passes")
	}
}

// A jump in a filter reaches 255 instructions far: up to so many ports each is
// compared, and beyond that every datagram passes.
func TestFilterOfManyPorts(t *testing.T) {
	t.Parallel()
	for n := range maxPorts + 5 {
		var ports []uint16
		for i := range n {
			ports = append(ports, 1000+uint16(i))
		}
		program := mustFilter(t, ports...)
		for _, client := range []netip.Addr{client4, client6} {
			for port := range 1000 + uint16(n) + 1 {
				if port < 999 {
					continue
				}
				data := udp(ap(client, 40000), ap(client, port), nil)
				want := n > maxPorts || slices.Contains(ports, port)
				if got := passes(t, program, etherType(data), data); got != want {
					t.Fatalf("%d ports, %s to %d passes: %v", n, client, port, got)
				}
			}
			for seq, want := range map[uint32]bool{testMark.isn: true, testMark.isn ^ 1<<31: false} {
				data := tcp(ap(client, 1000), ap(client, 1001), wire.SYN, seq, 0)
				if got := passes(t, program, etherType(data), data); got != want {
					t.Fatalf("%d ports, TCP of %s with number %d passes: %v", n, client, seq, got)
				}
			}
			if data := sctp(ap(client, 1000), ap(client, 1001), wire.Init, 0, testMark.isn); !passes(t, program, etherType(data), data) {
				t.Fatalf("%d ports: no SCTP of %s", n, client)
			}
			if data := echo(client, client, false, 1, 1, testMark.echo[:]); !passes(t, program, etherType(data), data) {
				t.Fatalf("%d ports: no ICMP of %s", n, client)
			}
		}
		if passes(t, program, unix.ETH_P_LOOPBACK, make([]byte, 64)) {
			t.Fatalf("%d ports: another protocol passes", n)
		}
	}
}
