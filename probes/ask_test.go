package probes_test

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// A responder is this process too: on a busy machine it may take its time.
const patience = 20 * time.Second

var (
	icmp = probes.ICMP().Within(patience)
	web  = probes.TCP(80).Within(patience)
	dns  = probes.UDP(53).Within(patience)
	soon = 150 * time.Millisecond // for what must stay silent
)

func TestAnswered(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, web, dns)
	for _, p := range []probes.Probe{icmp, web, dns, icmp.Size(1400), dns.Size(1400)} {
		result := ask(t, client, server, p)
		if len(result.Each) != 2 {
			t.Fatalf("%s: %d results for two families", p, len(result.Each))
		}
		for _, r := range result.Each {
			if r.Outcome != probes.Answered || r.By != "server" || r.Sender != r.Addr || r.RTT <= 0 {
				t.Errorf("%+v", r)
			}
			if signed := p != icmp && p != icmp.Size(1400); r.Proven != signed {
				t.Errorf("%s: proven is %v", p, r.Proven)
			}
		}
	}
}

// A service that is not ours answers by connecting; it gets nothing to read.
func TestAnsweredByAForeignService(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	listener, err := lab.Node("server").Listen(t.Context(), "tcp", netip.AddrPortFrom(netip.Addr{}, 80))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	r := ask(t, lab.Node("client"), lab.Node("server"), web)
	if r.Outcome != probes.Answered || r.By != "server" || r.Proven {
		t.Errorf("%+v", r)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	for _, p := range []probes.Probe{web, dns} {
		for _, r := range each(ask(t, lab.Node("client"), lab.Node("server"), p)) {
			if r.Outcome != probes.Refused || r.By != "server" || r.Proven || r.Errno != unix.ECONNREFUSED {
				t.Errorf("%+v", r)
			}
			if (r.ICMP != nil) != (p == dns) {
				t.Errorf("%s: ICMP %v", p, r.ICMP)
			}
		}
	}
}

func TestRejected(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet filter {
		chain forward {
			type filter hook forward priority 0; policy accept;
			reject with icmpx admin-prohibited
		}
	}`))
	for _, p := range []probes.Probe{icmp, web, dns} {
		for _, r := range each(ask(t, lab.Node("client"), lab.Node("server"), p)) {
			want := probes.ICMPError{Type: 3, Code: 13}
			if r.Addr.Is6() {
				want = probes.ICMPError{Type: 1, Code: 1}
			}
			if r.Outcome != probes.Rejected || r.By != "fw" || r.ICMP == nil || *r.ICMP != want {
				t.Errorf("%s: %+v %+v", p, r, r.ICMP)
			}
			if !strings.Contains(r.String(), "rejected by fw from ") || !strings.Contains(r.String(), "administratively prohibited") {
				t.Error(r)
			}
		}
	}
	if r := ask(t, lab.Node("client"), lab.Node("fw"), icmp); r.Outcome != probes.Answered {
		t.Error("the control: ", r)
	}
}

func TestRejectedByARouterWithoutARoute(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	for _, p := range []probes.Probe{icmp, web, dns} {
		r := ask(t, lab.Node("client"), netip.MustParseAddr("203.0.113.1"), p)
		if r.Outcome != probes.Rejected || r.By != "fw" || *r.ICMP != (probes.ICMPError{Type: 3, Code: 0}) {
			t.Errorf("%s: %+v %+v", p, r, r.ICMP)
		}
	}
}

func TestRejectedByAnMTUOnTheWay(t *testing.T) {
	t.Parallel()
	network := topo.New("mtu")
	lan := network.Wire("lan", "10.0.1.0/24", "fd00:1::/64")
	thin := network.Wire("thin", "10.0.2.0/24", "fd00:2::/64").MTU(1300)
	network.Host("client", lan)
	network.Host("server", thin)
	network.Router("fw", lan, thin)
	lab := harness.Up(t, network)
	client, server := lab.Node("client"), lab.Node("server")
	if r := ask(t, client, server, icmp.Size(1200)); r.Outcome != probes.Answered {
		t.Error("the control: ", r)
	}
	for _, r := range each(ask(t, client, server, icmp.Size(1400))) {
		if r.Outcome != probes.Rejected || r.By != "fw" || r.ICMP.Info != 1300 {
			t.Errorf("%+v %+v", r, r.ICMP)
		}
	}
	if r := ask(t, client, server, icmp.Size(1600)); r.Outcome != probes.Unsent || r.Errno != unix.EMSGSIZE {
		t.Errorf("larger than the first link: %+v", r)
	}
}

func TestSilent(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet filter {
		chain forward {
			type filter hook forward priority 0; policy accept;
			ip daddr 10.0.2.1 drop
		}
	}`))
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, web, dns)
	for _, p := range []probes.Probe{icmp, web, dns} {
		r := ask(t, client, server, p.Within(soon))
		if len(r.Each) != 2 || r.Outcome != probes.Silent || r.Addr.Is6() || r.RTT < soon {
			t.Errorf("%s: %+v", p, r)
		}
		if control := ask(t, client, r.Each[1].Addr, p); control.Outcome != probes.Answered || !control.Addr.Is6() {
			t.Errorf("%s: the control: %+v", p, control)
		}
	}
}

func TestUnsent(t *testing.T) {
	t.Parallel()
	network := topo.New("unsent")
	wire := network.Wire("wire", "10.0.0.0/24", "fd00::/64")
	network.Host("a", wire).Route(
		topo.Route{To: "198.51.100.0/24", Type: topo.Blackhole},
		topo.Route{To: "192.0.2.0/24", Type: topo.Unreachable},
		topo.Route{To: "203.0.113.0/24", Type: topo.Prohibit})
	network.Host("b", wire)
	lab := harness.Up(t, network)
	a := lab.Node("a")
	for addr, want := range map[string]unix.Errno{
		"10.9.9.9": unix.ENETUNREACH, "198.51.100.1": unix.EINVAL, "192.0.2.1": unix.EHOSTUNREACH, "203.0.113.1": unix.EACCES,
	} {
		for _, p := range []probes.Probe{icmp, web, dns} {
			r := ask(t, a, netip.MustParseAddr(addr), p)
			if r.Outcome != probes.Unsent || r.Errno != want || r.By != "" {
				t.Errorf("%s: %+v", addr, r)
			}
		}
	}
	if err := a.Port("wire").Down(); err != nil {
		t.Fatal(err)
	}
	if r := ask(t, a, lab.Node("b"), icmp); r.Outcome != probes.Unsent || r.Errno != unix.ENETUNREACH {
		t.Errorf("with its link down: %+v", r)
	}
}

func TestUnsentByAnOutputRule(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(""))
	client := lab.Node("client")
	if r := ask(t, client, lab.Node("server"), icmp); r.Outcome != probes.Answered {
		t.Fatal("the control: ", r)
	}
	if err := client.Nft("table inet t { chain output { type filter hook output priority 0; policy drop; }; }"); err != nil {
		t.Fatal(err)
	}
	for _, p := range []probes.Probe{icmp, dns} {
		r := ask(t, client, lab.Node("server").On("dmz"), p.Within(soon))
		if len(r.Each) != 2 {
			t.Fatal(r)
		}
		for _, r := range r.Each {
			if r.Outcome != probes.Unsent || r.Errno != unix.EPERM {
				t.Errorf("%+v", r)
			}
		}
	}
}

func TestErrorsAreNoVerdicts(t *testing.T) {
	t.Parallel()
	network := topo.New("errors")
	wire := network.Wire("wire", "10.0.0.0/24")
	network.Host("a", wire)
	network.Host("b", wire)
	network.Host("six", network.Switch("other", "fd00::/64"))
	lab := harness.Up(t, network)
	a := lab.Node("a")
	for want, f := range map[string]func() (probes.Result, error){
		"no family of addresses in common": func() (probes.Result, error) { return probes.Ask(t.Context(), a, lab.Node("six"), icmp) },
		"the zero Probe asks nothing":      func() (probes.Result, error) { return probes.Ask(t.Context(), a, lab.Node("b"), probes.Probe{}) },
		"there is no port 0":               func() (probes.Result, error) { return probes.Ask(t.Context(), a, lab.Node("b"), probes.TCP(0)) },
		"a payload of 3 bytes":             func() (probes.Result, error) { return probes.Ask(t.Context(), a, lab.Node("b"), icmp.Size(3)) },
		"takes 1500 bytes at once, and the packet has 84: say a larger Size": func() (probes.Result, error) { return probes.Ask(t.Context(), a, lab.Node("b"), icmp.Fragmented()) },
		"destination options are of IPv6": func() (probes.Result, error) {
			return probes.Ask(t.Context(), a, lab.Node("b"), dns.Extended(probes.DestinationOptions))
		},
		"it is HopByHop or Dest": func() (probes.Result, error) { return probes.Ask(t.Context(), a, lab.Node("b"), dns.Extended(128)) },
		"TCP sends what fits":    func() (probes.Result, error) { return probes.Ask(t.Context(), a, lab.Node("b"), web.Fragmented()) },
		"Fragmented() and Send": func() (probes.Result, error) {
			return probes.Ask(t.Context(), a, lab.Node("b"), dns.Fragmented().Send("x").Await("y"))
		},
		"the target is the zero address": func() (probes.Result, error) { return probes.Ask(t.Context(), a, netip.Addr{}, icmp) },
		"a target of type":               func() (probes.Result, error) { return probes.Ask(t.Context(), a, time.Second, icmp) },
		"no target":                      func() (probes.Result, error) { return probes.Ask(t.Context(), a, nil, icmp) },
		"no node to ask from":            func() (probes.Result, error) { return probes.Ask(t.Context(), nil, a, icmp) },
	} {
		if r, err := f(); err == nil || !strings.Contains(err.Error(), want) || r.Outcome != 0 {
			t.Errorf("want %q: %v, %v", want, err, r)
		}
	}
}

func TestContextEndsAProbeWithAnError(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client := lab.Node("client")
	if _, err := client.Lab().Node("fw").Sysctl("net.ipv4.ip_forward"); err != nil {
		t.Fatal(err)
	}
	if err := lab.Node("server").SetSysctl("net.ipv4.icmp_echo_ignore_all", "1"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	start := time.Now()
	r, err := probes.Ask(ctx, client, netip.MustParseAddr("10.0.2.1"), icmp.Within(time.Minute))
	if !errors.Is(err, context.DeadlineExceeded) || r.Outcome != 0 || time.Since(start) > 10*time.Second {
		t.Errorf("%v, %v after %s", r, err, time.Since(start))
	}
	cancel()
	if _, err := probes.Ask(ctx, client, lab.Node("fw"), web); err == nil {
		t.Error("a context that is over")
	}
	if r := ask(t, client, lab.Node("fw"), icmp); r.Outcome != probes.Answered {
		t.Error("the next probe: ", r)
	}
}

func TestAThousandProbesAtOnce(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet filter {
		chain forward {
			type filter hook forward priority 0; policy accept;
			ip daddr 10.0.2.77 reject with icmp admin-prohibited
		}
	}`))
	probes.Serve(t, lab.Node("server"), dns)
	const many = 1000
	threads := pprofThreads()
	var asking sync.WaitGroup
	results := make([]probes.Result, many)
	errs := make([]error, many)
	for i := range many {
		asking.Go(func() {
			to, p := probes.Target(lab.Node("server").On("dmz")), icmp
			switch i % 4 {
			case 1:
				to = lab.Node("fw")
			case 2:
				to, p = netip.MustParseAddr("10.0.2.77"), icmp
			case 3:
				p = dns
			}
			results[i], errs[i] = probes.Ask(t.Context(), lab.Node("client"), to, p.Within(10*time.Second))
		})
	}
	asking.Wait()
	for i, r := range results {
		want, by := probes.Answered, "server"
		switch i % 4 {
		case 1:
			by = "fw"
		case 2:
			want, by = probes.Rejected, "fw"
		}
		if errs[i] != nil || r.Outcome != want || r.By != by {
			t.Fatalf("%d: %v, %v", i, r, errs[i])
		}
	}
	if grew := pprofThreads() - threads; grew > 200 {
		t.Errorf("%d threads more for %d probes", grew, many)
	}
}

func pprofThreads() int {
	n, _ := runtime.ThreadCreateProfile(nil)
	return n
}
