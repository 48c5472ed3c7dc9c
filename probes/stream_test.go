package probes_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"golang.org/x/sys/unix"
)

// reader is the judge of a stream: a plain socket that writes down who sent what it reads.
type reader struct {
	mu    sync.Mutex
	peers []netip.AddrPort
}

func (r *reader) read() []netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers
}

func readAt(t *testing.T, node *harness.Node, network string, port uint16) *reader {
	t.Helper()
	conn, err := node.ListenPacket(t.Context(), network, netip.AddrPortFrom(netip.Addr{}, port))
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		for buf := make([]byte, 1500); ; {
			_, from, err := conn.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			r.mu.Lock()
			r.peers = append(r.peers, netip.MustParseAddrPort(from.String()))
			r.mu.Unlock()
		}
	}()
	return r
}

// waitsFor polls until something is so.
func waitsFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(long); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: not in %s", what, long)
		}
	}
}

// counted is what a named counter of table inet m has counted.
func counted(t *testing.T, node *harness.Node, name string) int {
	t.Helper()
	var count uint64
	err := node.Nftables(func(c *nftables.Conn) error {
		object, err := c.GetObject(&nftables.CounterObj{Table: &nftables.Table{Name: "m", Family: nftables.TableFamilyINet}, Name: name})
		if err == nil {
			count = object.(*nftables.CounterObj).Packets
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return int(count)
}

func nothing() error { return nil }

// streamed are the flows of a stream that could be asked.
func streamed(t *testing.T, from *harness.Node, to probes.Target, p probes.Probe, f func() error) []probes.Flow {
	t.Helper()
	flows, err := probes.Stream(t.Context(), from, to, p, 0, f)
	if err != nil {
		t.Fatal(err)
	}
	return flows
}

// All that is sent arrives where nothing is in the way, over each family.
func TestStreamThatArrives(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	readers := []*reader{readAt(t, server, "udp4", 53), readAt(t, server, "udp6", 53)}
	for _, p := range []probes.Probe{dns, icmp} {
		flows := streamed(t, client, server, p.Within(long), nothing)
		if len(flows) != 2 || !flows[0].Addr.Is4() || !flows[1].Addr.Is6() {
			t.Fatalf("%v", flows)
		}
		for i, f := range flows {
			if f.Arrived != len(f.Packets) || f.Sent != f.Arrived || f.Arrived < 20 || f.Lost+f.Unsent+f.Copies != 0 || f.Node != "server" {
				t.Errorf("%s", f)
			}
			if open, closed := f.Open(), f.Closed(); !open.Cut || open.Packets != f.Sent || closed.Cut || closed.Packets != 0 || closed.AtLeast != 0 || closed.AtMost <= 0 {
				t.Errorf("%s: %s, %s", f, open, closed)
			}
			if f.Ended.Before(f.Begun) || f.Begun.Before(f.Packets[0].Sent) {
				t.Errorf("%s: from %s to %s, sent from %s", f, f.Begun, f.Ended, f.Packets[0].Sent)
			}
			if p.String() == icmp.String() {
				continue
			}
			waitsFor(t, "the judge reads what was sent", func() bool { return len(readers[i].read()) >= f.Sent })
			ports := map[uint16]bool{}
			for _, peer := range readers[i].read() {
				ports[peer.Port()] = true
			}
			if n := len(readers[i].read()); n != f.Sent || len(ports) != n {
				t.Errorf("%s: the judge read %d, from %d ports", f, n, len(ports))
			}
		}
	}
}

// A rule that comes and goes loses just what it has counted, for as long as it was there.
func TestStreamThatIsStopped(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	for _, p := range []probes.Probe{dns, icmp} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			const counts = `table inet m { counter gone { }; counter came { }; chain c { type filter hook %s priority 0; }; }`
			lab := harness.Up(t, office(fmt.Sprintf(counts, "forward")))
			client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
			if err := server.Nft(fmt.Sprintf(counts, "input") + `; add rule inet m c meta l4proto { udp, icmp } counter name "came"`); err != nil {
				t.Fatal(err)
			}
			var at [4]time.Time
			f := streamed(t, client, server.On("dmz").Addrs()[0], p.Within(100*time.Millisecond), func() error {
				at[0] = time.Now()
				if err := fw.Nft(`add rule inet m c iifname "lan" counter name "gone" drop`); err != nil {
					return err
				}
				at[1] = time.Now()
				waitsFor(t, "the rule counts", func() bool { return counted(t, fw, "gone") >= 5 })
				at[2] = time.Now()
				err := fw.Nft("flush chain inet m c")
				at[3] = time.Now()
				return err
			})[0]
			if lost, came := counted(t, fw, "gone"), counted(t, server, "came"); f.Lost != lost || f.Arrived != came || f.Arrived+f.Lost != len(f.Packets) {
				t.Errorf("%s: the rule counted %d, the server's %d", f, lost, came)
			}
			if closed := f.Closed(); closed.Packets != f.Lost || closed.Cut || closed.AtLeast > at[3].Sub(at[0]) || closed.AtMost < at[2].Sub(at[1]) {
				t.Errorf("%s: it was closed for %s to %s", f, at[2].Sub(at[1]), at[3].Sub(at[0]))
			}
		})
	}
}

// Copies are counted as that, and what a forwarder leads elsewhere has arrived there.
func TestStreamElsewhere(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(forwarding+`table ip m { chain pre { type filter hook prerouting priority -300; udp dport 53 dup to 10.0.2.1 device "dmz"; }; }`))
	client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
	read := readAt(t, server, "udp4", 53)
	f := streamed(t, client, server.On("dmz").Addrs()[0], dns.Within(long), nothing)[0]
	waitsFor(t, "the judge reads all, twice", func() bool { return len(read.read()) == 2*f.Sent })
	if f.Lost != 0 || f.Copies > f.Arrived || f.Copies < f.Arrived-1 { // nobody waits for the last one's
		t.Errorf("%s: the judge read %d", f, len(read.read()))
	}
	for _, f := range streamed(t, client, fw.On("lan"), probes.UDP(123).Within(100*time.Millisecond), nothing) {
		at := f.At(server)
		if f.Node != "fw" || f.Arrived != 0 || at.Node != "server" || at.Lost != 0 || at.Arrived != f.Sent {
			t.Errorf("%s, %s", f, at)
		}
		if !strings.Contains(f.String(), "were delivered at server: see At") || strings.Contains(at.String(), "see At") {
			t.Errorf("%s, %s", f, at)
		}
	}
}

// FromPort has all packets be of one flow, which what tracks connections goes on to let in; a
// service that sends back what it gets, and refusals of others, change nothing.
func TestStreamOfOneFlow(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(`table inet m { chain c { type filter hook forward priority 0;
		ct state established accept
	}; }`))
	client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
	answerBy(t, server, 53, func(text string) []string { return []string{text} })
	const own = 5000
	for _, one := range []bool{true, false} {
		p := dns.Within(100 * time.Millisecond)
		if one {
			p = p.FromPort(own)
		}
		flows := streamed(t, client, server, p, func() error {
			return fw.Nft(`add rule inet m c meta l4proto udp drop`)
		})
		for _, f := range flows {
			if isLost := f.Lost > 0; isLost == one || f.Arrived == 0 || f.Unsent+f.Copies != 0 {
				t.Errorf("%s", f)
			}
		}
		if err := fw.Nft("flush chain inet m c; add rule inet m c ct state established accept"); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range streamed(t, server, server, dns.Within(long), nothing) { // what comes back goes to itself as well
		if f.Lost+f.Unsent+f.Copies > 0 {
			t.Errorf("%s", f)
		}
	}
	for _, f := range streamed(t, client, server, probes.UDP(77).FromPort(own).Within(long), nothing) { // nobody listens
		if f.Lost+f.Unsent > 0 {
			t.Errorf("%s", f)
		}
	}
}

// What does not leave its socket is told apart from what is lost.
func TestStreamThatNeverLeaves(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	if err := client.Nft(`table inet m { chain out { type filter hook output priority 0; meta l4proto { udp, icmp } drop; icmpv6 type echo-request drop; }; }`); err != nil {
		t.Fatal(err)
	}
	for _, p := range []probes.Probe{dns, icmp} {
		for _, f := range streamed(t, client, server, p, nothing) {
			if f.Sent+f.Arrived+f.Lost != 0 || f.Unsent < 20 || f.Packets[0].Errno != unix.EPERM || !strings.Contains(f.String(), "never left") {
				t.Errorf("%s: %v", f, f.Packets[0].Errno)
			}
		}
	}
}

// A stream ends with its function, whatever comes of that, or with its context.
func TestStreamEnds(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	broken := errors.New("broken")
	if _, err := probes.Stream(t.Context(), client, server, dns, 0, func() error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := probes.Stream(ctx, client, server, dns, 0, func() error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	read := readAt(t, server, "udp4", 53)
	func() {
		defer func() { _ = recover() }()
		_, err := probes.Stream(t.Context(), client, server, dns, 0, func() error { panic("as Ginkgo fails") })
		t.Error("no panic", err)
	}()
	streamed(t, client, server.On("dmz").Addrs()[0], dns.FromPort(5000).Within(long), nothing)
	waitsFor(t, "the judge reads what came after", func() bool { return len(read.read()) > 0 && read.read()[len(read.read())-1].Port() == 5000 })
	after := false
	for _, peer := range read.read() {
		if after = after || peer.Port() == 5000; after && peer.Port() != 5000 {
			t.Errorf("sent after the end from %s", peer)
		}
	}
	for want, err := range map[string]error{
		"stream: probe tcp/80: a stream is of packets": second(probes.Stream(t.Context(), client, server, web, 0, nothing)),
		"stream: probe udp/53: a stream says no words": second(probes.Stream(t.Context(), client, server, dns.Send("x").Await("y"), 0, nothing)),
		"stream: a packet every -1ns: ":                second(probes.Stream(t.Context(), client, server, dns, -1, nothing)),
		"stream: no function that changes something":   second(probes.Stream(t.Context(), client, server, dns, 0, nil)),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

func second[A any](_ A, err error) error { return err }
