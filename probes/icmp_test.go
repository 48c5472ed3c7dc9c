package probes

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

const brief = 150 * time.Millisecond // for what must stay silent

// trio is an asker, one who answers, and one who never does.
func trio(t *testing.T) *harness.Lab {
	t.Helper()
	network := topo.New("trio")
	lan := network.Switch("lan", "10.0.0.0/24", "fd00::/64")
	network.Host("asker", lan)
	network.Host("loud", lan)
	network.Host("mute", lan).Sysctl("net.ipv4.icmp_echo_ignore_all", "1").Sysctl("net.ipv6.icmp.echo_ignore_all", "1")
	return harness.Up(t, network)
}

// TestIDsNeverMixUp: many probes at once over sockets that hear each other's
// answers (raw) or do not (ping), and each gets its own.
func TestIDsNeverMixUp(t *testing.T) {
	t.Parallel()
	const many = 200
	for _, bare := range []bool{false, true} {
		lab := trio(t)
		asker := lab.Node("asker")
		if bare { // its namespace allows no ping sockets, and is not configured
			asker = harness.Attach(t, "guest", asker.Path())
		}
		var asking sync.WaitGroup
		results, errs := make([]Result, many), make([]error, many)
		for i := range many {
			to := lab.Node([]string{"loud", "mute"}[i%2])
			asking.Go(func() {
				results[i], errs[i] = Ask(t.Context(), asker, to, ICMP().Within([]time.Duration{time.Minute, brief}[i%2]))
			})
		}
		asking.Wait()
		for i, r := range results {
			want := []Outcome{Answered, Silent}[i%2]
			if errs[i] != nil || r.Outcome != want || len(r.Each) != 2 || r.Each[1].Outcome != want {
				t.Errorf("raw %v: %v, %v", bare, r, errs[i])
			}
		}
		for _, e := range shelfOf(asker).idle[0] {
			if e.bare != bare {
				t.Errorf("raw %v, and not %v", e.bare, bare)
			}
		}
	}
}

// Two surveys and single probes of one node at once, whose raw sockets hear all
// answers, and have the same numbers in them.
func TestSurveysAtOnceDoNotMixUp(t *testing.T) {
	t.Parallel()
	lab := trio(t)
	asker := lab.Node("asker")
	loud := Grid{From: []*harness.Node{asker}, To: []Target{lab.Node("loud")}}
	mute := Grid{From: []*harness.Node{asker}, To: []Target{lab.Node("mute")}, Probes: []Probe{ICMP().Within(brief)}}
	var asking sync.WaitGroup
	for _, c := range []struct {
		grid Grid
		to   string
		want string
	}{{loud, "loud", "ok"}, {mute, "mute", "silent"}} {
		for range 20 {
			asking.Go(func() {
				matrix, err := c.grid.Survey(t.Context())
				if err != nil || matrix.Cell("asker", c.to) != c.want {
					t.Errorf("%v\n%s", err, matrix)
				}
			})
		}
	}
	asking.Wait()
}

// A router that hands a packet on to another on the same segment tells its
// sender of it (RFC 1812, 5.2.7.2). That ends no probe.
func TestARedirectIsNoRejection(t *testing.T) {
	t.Parallel()
	for round := range 3 {
		network := topo.New("redirect")
		lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
		far := network.Switch("far", "10.0.2.0/24", "fd00:2::/64")
		via := func(gateway4, gateway6 string) []topo.Route {
			return []topo.Route{{To: "10.0.2.0/24", Via: gateway4}, {To: "fd00:2::/64", Via: gateway6}}
		}
		network.Router("straight", lan, far)
		network.Router("astray", lan).NoRoutes().Route(via("10.0.1.1", "fd00:1::1")...)
		network.Host("client", lan).NoRoutes().Route(via("10.0.1.2", "fd00:1::2")...).
			Sysctl("net.ipv4.conf.all.accept_redirects", "0").Sysctl("net.ipv6.conf.lan.accept_redirects", "0")
		network.Host("server", far)
		lab := harness.Up(t, network)
		for range 3 { // the first goes by the first address, and so on
			r, err := Ask(t.Context(), lab.Node("client"), lab.Node("server"), ICMP())
			if err != nil || len(r.Each) != 2 || r.Each[0].Outcome != Answered || r.Each[1].Outcome != Answered {
				t.Errorf("%d: %v, %v", round, r, err)
			}
		}
		grid := Grid{From: []*harness.Node{lab.Node("client")}, To: []Target{lab.Node("server")}, Probes: []Probe{ICMP(), TCP(9), UDP(9)}}
		matrix, err := grid.Survey(t.Context())
		if err != nil || matrix.Cell("client", "server") != "ok,refused" {
			t.Errorf("%d: %v\n%s", round, err, matrix)
		}
	}
}

// When nobody answers its neighbour requests, the asker's own kernel says so, in
// an ICMP error to itself: nothing was sent.
func TestNobodyAtTheAddressIsUnsent(t *testing.T) {
	t.Parallel()
	network := topo.New("alone")
	wire := network.Wire("lan", "10.0.0.0/24", "fd00::/64")
	network.Host("a", wire).Sysctl("net.ipv4.neigh.lan.retrans_time_ms", "20").Sysctl("net.ipv6.neigh.lan.retrans_time_ms", "20")
	network.Host("b", wire)
	lab := harness.Up(t, network)
	a := lab.Node("a")
	for _, from := range []*harness.Node{a, harness.Attach(t, "guest", a.Path())} {
		for _, addr := range []string{"10.0.0.77", "fd00::77"} {
			to := netip.MustParseAddr(addr)
			grid := Grid{From: []*harness.Node{from}, To: []Target{to}}
			for _, p := range []Probe{ICMP(), TCP(80), UDP(53)} {
				r, err := Ask(t.Context(), from, to, p.Within(time.Minute))
				if err != nil || r.Outcome != Unsent || r.Errno == 0 || r.By != "" || r.Sender.IsValid() {
					t.Errorf("%v: %+v", err, r)
				}
				grid.Probes = append(grid.Probes, p.Within(time.Minute))
			}
			matrix, err := grid.Survey(t.Context())
			if err != nil || matrix.Cell(from.Name(), addr) != "unsent" {
				t.Errorf("%v\n%s", err, matrix)
			}
		}
	}
}

// What an earlier probe waited for may come while the next one is under way: its
// socket is not used again.
func TestASilentProbesSocketIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	lab := trio(t)
	asker := lab.Node("asker")
	shelf := shelfOf(asker)
	for _, c := range []struct {
		to   string
		want Outcome
		idle int
	}{{"loud", Answered, 1}, {"loud", Answered, 1}, {"mute", Silent, 0}, {"mute", Silent, 0}, {"loud", Answered, 1}} {
		r, err := Ask(t.Context(), asker, lab.Node(c.to), ICMP().Within(brief))
		if err != nil || r.Outcome != c.want {
			t.Error(r, err)
		}
		if got := len(shelf.idle[0]); got != c.idle {
			t.Errorf("after %s: %d sockets on the shelf, not %d", r, got, c.idle)
		}
	}
	if _, err := Ask(t.Context(), asker, netip.MustParseAddr("10.0.0.2"), ICMP().Size(maxSize)); err != nil || len(shelf.idle[0]) != 1 {
		t.Errorf("%v, %d sockets after what was not sent", err, len(shelf.idle[0]))
	}
}

func TestShelfIsBoundedAndEndsWithTheLab(t *testing.T) {
	t.Parallel()
	lab := trio(t)
	asker := lab.Node("asker")
	var asking sync.WaitGroup
	for range 5 * maxIdle {
		asking.Go(func() {
			if r, err := Ask(t.Context(), asker, lab.Node("loud"), ICMP()); err != nil || r.Outcome != Answered {
				t.Error(r, err)
			}
		})
	}
	asking.Wait()
	shelf := shelfOf(asker)
	for i, idle := range shelf.idle {
		if len(idle) == 0 || len(idle) > maxIdle {
			t.Errorf("family %d: %d sockets", i, len(idle))
		}
	}
	var lent []*echoes
	for range 2 * maxIdle {
		e, err := shelf.borrow(asker, false, source{})
		if err != nil {
			t.Fatal(err)
		}
		lent = append(lent, e)
	}
	for _, e := range lent[1:] {
		shelf.give(e)
	}
	if got := len(shelf.idle[0]); got != maxIdle {
		t.Errorf("%d sockets on the shelf", got)
	}
	e := lent[0]
	lab.Down()
	if fmt.Sprint(len(shelf.idle[0]), len(shelf.idle[1]), shelf.down) != "0 0 true" {
		t.Errorf("%+v", shelf)
	}
	if shelfOf(asker) == shelf {
		t.Error("the shelf outlives its lab")
	}
	shelf.give(e) // what was lent meanwhile is closed
	if err := e.file.Close(); err == nil {
		t.Error("a socket that comes back late stays open")
	}
	if r, err := Ask(t.Context(), asker, netip.MustParseAddr("10.0.0.2"), ICMP()); err == nil || r.Outcome != 0 {
		t.Errorf("asked when the lab is down: %v", r)
	}
}

// A reply that comes from another address than was asked is none.
func TestAnAnswerFromElsewhereIsNone(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := trio(t)
	asker, to := lab.Node("asker"), netip.MustParseAddr("10.0.0.2")
	p := ICMP().Within(brief)
	if r, err := Ask(t.Context(), asker, to, p); err != nil || r.Outcome != Answered {
		t.Fatal("the control: ", r, err)
	}
	err := lab.Node("loud").Nft(`table ip elsewhere { chain out {
		type filter hook postrouting priority 0; icmp type echo-reply ip saddr set 10.0.0.99; }; }`)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Ask(t.Context(), asker, to, p); err != nil || r.Outcome != Silent {
		t.Error(r, err)
	}
	matrix, err := Grid{From: []*harness.Node{asker}, To: []Target{to}, Probes: []Probe{p}}.Survey(t.Context())
	if err != nil || matrix.Cell("asker", "10.0.0.2") != "silent" {
		t.Errorf("%v\n%s", err, matrix)
	}
}
