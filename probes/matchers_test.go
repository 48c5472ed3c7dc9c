package probes_test

import (
	"context"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
)

// failures are what an assertion says when it fails, with durations masked.
func failures(f func(g gomega.Gomega)) []string {
	var said []string
	f(gomega.NewGomega(func(message string, _ ...int) {
		said = append(said, durations.ReplaceAllString(strings.TrimSpace(message), "TIME"))
	}))
	return said
}

var durations = regexp.MustCompile(`\b[0-9.]+(ns|µs|ms|s)\b`)

// failsBothWays asserts that To and NotTo fail, both with that text; what a node's
// probe comes to under watch is told behind it.
func failsBothWays(t *testing.T, actual any, matcher gomega.OmegaMatcher, want string) {
	t.Helper()
	for how, said := range map[string][]string{
		"To":    failures(func(g gomega.Gomega) { g.Expect(actual).To(matcher) }),
		"NotTo": failures(func(g gomega.Gomega) { g.Expect(actual).NotTo(matcher) }),
	} {
		if len(said) == 1 {
			before, _, again := strings.Cut(said[0], "\nonce more, under watch:")
			if _, asks := actual.(*harness.Node); again != (asks && strings.HasSuffix(want, noNotTo)) {
				t.Errorf("%s: repeated under watch: %v", how, again)
			}
			said[0] = before
		}
		if len(said) != 1 || said[0] != want {
			t.Errorf("%s: got %d failures\n%s\nwant\n%s", how, len(said), strings.Join(said, "\n"), want)
		}
	}
}

const noNotTo = "\n(NotTo(Reach(...)) cannot hold either: to say no, use BeIsolatedFrom, BeRefusedBy or BeRejectedBy)"

func TestReachAcceptsANodeOrAResult(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, web, dns)
	g := gomega.NewWithT(t)
	g.Expect(client).To(probes.Reach(server))
	g.Expect(client).To(probes.Reach(server, icmp, web, dns))
	g.Expect(client).To(probes.Reach(server.On("dmz"), web))
	g.Expect(client).To(probes.Reach(netip.MustParseAddr("10.0.2.1"), web))
	g.Expect(ask(t, client, server, web)).To(probes.Reach(server, web))
	g.Expect(ask(t, client, server, web.Within(time.Minute))).To(probes.Reach(server))
	g.Expect(probes.Ask(t.Context(), client, server, dns)).To(probes.Reach(server, dns))

	result := ask(t, client, server, icmp)
	for said, actual := range map[string]any{
		"client does reach server; ":         client,
		"icmp: answered by server after TIM": result,
	} {
		got := failures(func(g gomega.Gomega) { g.Expect(actual).NotTo(probes.Reach(server)) })
		want := "does reach server; and NotTo(Reach(...)) could never hold: to say no, use BeIsolatedFrom, BeRefusedBy or BeRejectedBy"
		if len(got) != 1 || !strings.Contains(got[0], said) || !strings.HasSuffix(got[0], want) {
			t.Errorf("NotTo of what does reach: %q", got)
		}
	}
}

func TestReachOfWhatIsNoQuestion(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	result := ask(t, client, server, icmp)
	for _, c := range []struct {
		actual  any
		matcher gomega.OmegaMatcher
		want    string
	}{
		{"client", probes.Reach(server), "Reach wants the *harness.Node that asks, or a probes.Result; it got a string"},
		{nil, probes.Reach(server), "Reach wants the *harness.Node that asks, or a probes.Result; it got a <nil>"},
		{lab, probes.Reach(server), "Reach wants the *harness.Node that asks, or a probes.Result; it got a *harness.Lab"},
		{&result, probes.Reach(server), "Reach wants the *harness.Node that asks, or a probes.Result; it got a *probes.Result"},
		{(*harness.Node)(nil), probes.Reach(server), "Reach: the node that asks is nil"},
		{client, probes.Reach(nil), "Reach: no target: pass a *harness.Node, node.On(segment) or a netip.Addr"},
		{result, probes.Reach((*harness.Node)(nil)), "Reach: the target is a nil node"},
		{client, probes.Reach(netip.Addr{}), "Reach: the target is the zero address"},
		{client, probes.Reach(server, probes.Probe{}), "ask: the zero Probe asks nothing: use ICMP, TCP, UDP or UDPLite"},
		{probes.Result{}, probes.Reach(server), "Reach: the zero Result: nothing was asked"},
		{result, probes.Reach(lab.Node("fw")), "Reach: the Result is about server, not about fw"},
		{result, probes.Reach(netip.MustParseAddr("10.0.2.1")), "Reach: the Result is about server, not about 10.0.2.1"},
		{result, probes.Reach(server.On("dmz")), "Reach: the Result is about server, not about server/dmz"},
		{result, probes.Reach(server, web), "Reach: the Result is about icmp, not about tcp/80"},
		{ask(t, client, server, web), probes.Reach(server, probes.TCP(81)), "Reach: the Result is about tcp/80, not about tcp/81"},
	} {
		failsBothWays(t, c.actual, c.matcher, c.want)
	}
}

func TestReachSaysWhatCameInstead(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet filter {
		chain forward {
			type filter hook forward priority 0; policy accept;
			tcp dport 22 drop
			ip daddr 10.0.2.77 drop
			tcp dport 25 reject with tcp reset
			ip daddr 10.0.2.1 udp dport 53 reject with icmpx admin-prohibited
		}
	}`))
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, probes.TCP(22), probes.TCP(25), dns)
	for _, c := range unreached(server) {
		failsBothWays(t, client, probes.Reach(c.to, c.probe), c.named()+noNotTo)
		failsBothWays(t, ask(t, client, c.to, c.probe), probes.Reach(c.to), c.want+noNotTo)
	}
	said := failures(func(g gomega.Gomega) { g.Expect(client).To(probes.Reach(server, icmp, probes.UDP(99))) })
	if len(said) != 1 || !strings.HasPrefix(said[0], "client does not reach server with udp/99:\n") {
		t.Errorf("of several probes the one that failed: %q", said)
	}
}

// question is one that does not hold, and what is said of it: what a watch says in the place of what
// is said without, where nobody signs and so it is watched.
type question struct {
	to            probes.Target
	probe         probes.Probe
	want          string
	bare, watched string
}

// named is what is said under a watch.
func (q question) named() string {
	if q.bare == "" {
		return q.want
	}
	return strings.ReplaceAll(q.want, q.bare, q.watched)
}

func unreached(server *harness.Node) []question {
	return []question{
		{server, probes.TCP(22).Within(soon), `client does not reach server with tcp/22:
  client -> server (10.0.2.1) tcp/22: silent: no answer in TIME
    what became of it is not known, nor whether a rule of the source's own dropped it
  client -> server (fd00:2::1) tcp/22: silent: no answer in TIME
    what became of it is not known, nor whether a rule of the source's own dropped it`, "", ""},
		{server.On("dmz"), probes.TCP(25), `client does not reach server/dmz with tcp/25:
  client -> server/dmz (10.0.2.1) tcp/25: refused by server (unproven: a reset has no signature) after TIME: connection refused
    nobody listens there, or a rule resets connections
  client -> server/dmz (fd00:2::1) tcp/25: refused by server (unproven: a reset has no signature) after TIME: connection refused
    nobody listens there, or a rule resets connections`, "", ""},
		{server, probes.UDP(99), `client does not reach server with udp/99:
  client -> server (10.0.2.1) udp/99: refused by server after TIME: port unreachable (icmp 3/3)
    nobody has the port
  client -> server (fd00:2::1) udp/99: refused by server after TIME: port unreachable (icmpv6 1/4)
    nobody has the port`, "nobody has the port", "the request was refused at server/dmz: nobody has port 99"},
		{server, dns, `client does not reach server with udp/53:
  client -> server (10.0.2.1) udp/53: rejected by fw from 10.0.1.2 after TIME: administratively prohibited (icmp 3/13)
    somebody on the way says no
  client -> server (fd00:2::1) udp/53: answered by server after TIME`, "", ""},
		{netip.MustParseAddr("203.0.113.9"), icmp, `client does not reach 203.0.113.9 with icmp:
  client -> 203.0.113.9 (203.0.113.9) icmp: rejected by fw from 10.0.1.2 after TIME: network unreachable (icmp 3/0)
    no node of lab "office" has 203.0.113.9, and nobody answers for it; the nearest are 10.0.1.1 (client), 10.0.2.1 (server), 10.0.1.2 (fw)`, "", ""},
		{server.On("dmz"), icmp.Size(9000), `client does not reach server/dmz with icmp:
  client -> server/dmz (10.0.2.1) icmp: unsent: message too long
    nothing was sent
  client -> server/dmz (fd00:2::1) icmp: unsent: message too long
    nothing was sent`, "nothing was sent", "the request was too large at client: the packet is larger than the link takes"},
	}
}

func TestReachOfTheWrongOwner(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, tenants(3))
	for _, name := range []string{"tenant-0/server", "tenant-2/server"} {
		probes.Serve(t, lab.Node(name), web, dns)
	}
	for _, p := range []probes.Probe{web, dns} {
		failsBothWays(t, lab.Node("tenant-0/client"), probes.Reach(lab.Node("tenant-2/server").On("tenant-2/lan"), p),
			strings.ReplaceAll(`tenant-0/client does not reach tenant-2/server/tenant-2/lan with PROBE:
  tenant-0/client -> tenant-2/server/tenant-2/lan (10.0.0.2) PROBE: answered by tenant-0/server after TIME
    10.0.0.2 was answered by tenant-0/server, not by tenant-2/server
  tenant-0/client -> tenant-2/server/tenant-2/lan (fd00::2) PROBE: answered by tenant-0/server after TIME
    fd00::2 was answered by tenant-0/server, not by tenant-2/server`, "PROBE", p.String())+noNotTo)
	}
	gomega.NewWithT(t).Expect(lab.Node("tenant-0/client")).To(probes.Reach(lab.Node("tenant-0/server"), web, dns))
}

func TestReachOfAnAddressThatSeveralHave(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, tenants(2))
	client, server := lab.Node("tenant-1/client"), lab.Node("tenant-1/server")
	failsBothWays(t, client, probes.Reach(lab.Node("tenant-0/server")), `tenant-1/client does not reach tenant-0/server with icmp:
  tenant-1/client -> tenant-0/server (10.0.0.2) icmp: answered by tenant-1/server after TIME
    10.0.0.2 was answered by tenant-1/server, not by tenant-0/server
  tenant-1/client -> tenant-0/server (fd00::2) icmp: answered by tenant-1/server after TIME
    fd00::2 was answered by tenant-1/server, not by tenant-0/server`+noNotTo)
	gomega.NewWithT(t).Expect(client).To(probes.Reach(server), "the answer was seen leaving it")
	gomega.NewWithT(t).Expect(client).To(probes.Reach(netip.MustParseAddr("10.0.0.2")), "an address is whoever's it is")
}

func TestReachEndsWithItsContext(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	mute, err := lab.Node("server").ListenPacket(t.Context(), "udp", netip.MustParseAddrPort("10.0.2.1:53"))
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	to := netip.MustParseAddr("10.0.2.1")
	start := time.Now()
	failsBothWays(t, lab.Node("client"), probes.Reach(to, dns.Within(time.Minute)).WithContext(ctx),
		"watch client -> 10.0.2.1 udp/53: context deadline exceeded")
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("a context of 30ms ended it after %s", took)
	}
}

// A server that starts to listen later is what polling is for; each poll is one
// probe, and one that did not hold is asked again.
func TestEventuallyAsks(t *testing.T) {
	t.Parallel()
	network := topo.New("later")
	wire := network.Wire("wire", "10.0.0.0/24", "fd00::/64")
	network.Host("client", wire)
	network.Host("server", wire)
	lab := harness.Up(t, network)
	client, server := lab.Node("client"), lab.Node("server")
	polls := 0
	poll := func(ctx context.Context, from *harness.Node, to probes.Target, p probes.Probe) (probes.Result, error) {
		if polls++; polls == 4 {
			probes.Serve(t, server, web)
		}
		return probes.Ask(ctx, from, to, p)
	}
	g := gomega.NewWithT(t)
	g.Eventually(poll).WithContext(t.Context()).WithArguments(client, server, web).
		WithPolling(time.Millisecond).WithTimeout(time.Minute).Should(probes.Reach(server))
	if polls != 4 {
		t.Errorf("%d polls", polls)
	}
	g.Eventually(probes.Ask).WithContext(t.Context()).WithArguments(client, server, web).
		WithTimeout(time.Minute).Should(probes.Reach(server, web))
	g.Consistently(probes.Ask).WithContext(t.Context()).WithArguments(client, server, probes.TCP(81)).
		WithTimeout(30 * time.Millisecond).Should(gomega.HaveField("Outcome", probes.Refused))
	said := failures(func(g gomega.Gomega) {
		g.Eventually(probes.Ask).WithContext(t.Context()).WithArguments(client, server, probes.TCP(81)).
			WithTimeout(20 * time.Millisecond).Should(probes.Reach(server))
	})
	if len(said) != 1 || !strings.Contains(said[0], "client does not reach server with tcp/81:") {
		t.Errorf("%q", said)
	}
}
