package probes_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// barred is policies one behind another.
const barred = `table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		icmp type echo-request counter drop comment "no echo"
		icmpv6 type echo-request counter drop comment "no echo"
		tcp dport 25 reject with tcp reset comment "no mail"
		ct state established,related accept
		tcp dport 25 accept
	}
	chain late {
		type filter hook postrouting priority 0; policy accept;
		tcp dport 22 drop comment "no ssh"
	}
}`

// confirmed is what a check that is controlled by mutation comes to.
func confirmed(t *testing.T, from *harness.Node, m *probes.IsolationMatcher) string {
	t.Helper()
	ok, err := probes.MustMatter(m.WithContext(t.Context())).Match(from)
	switch {
	case err != nil:
		return err.Error()
	case !ok:
		return "it was reached"
	}
	return ""
}

// Every rule that isolates turns the probe when it is lifted, however many policies
// are one behind another, and the lab itself stays as it was.
func TestRulesMatter(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(barred))
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, ssh, dns)
	g := gomega.NewWithT(t)
	for range 2 {
		g.Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server, icmp)).At("fw").By("no echo")) // and the policy
		g.Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server, dns)).By("policy inet filter forward"))
		g.Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server, ssh)).By("policy inet filter forward")) // and a rule elsewhere
		g.Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server.On("dmz").Addrs()[0], ssh)))
		g.Expect(client).To(probes.MustMatter(probes.BeRejectedBy("fw", server, mail)).By("no mail"))
	}
}

// Neither routes nor forwarding are any different.
func TestRoutesMatter(t *testing.T) {
	t.Parallel()
	answers := map[string]bool{"an unreachable route": true} // what stops answers only
	for name, set := range map[string]func(r1, r2 *topo.Node){
		"a blackhole route": func(r1, _ *topo.Node) {
			r1.Route(topo.Route{To: "10.0.3.0/25", Type: topo.Blackhole}, topo.Route{To: "fd00:3::/80", Type: topo.Blackhole})
		},
		"an unreachable route": func(_, r2 *topo.Node) {
			r2.Route(topo.Route{To: "10.0.1.0/25", Type: topo.Unreachable, Metric: 3}, topo.Route{To: "fd00:1::/80", Type: topo.Unreachable, Metric: 3})
		},
		"a prohibit route": func(r1, _ *topo.Node) {
			r1.Route(topo.Route{To: "10.0.3.1/32", Type: topo.Prohibit}, topo.Route{To: "fd00:3::1/128", Type: topo.Prohibit})
		},
		"routes that a router lacks": func(r1, r2 *topo.Node) { r1.NoRoutes() },
		"routes that two lack":       func(r1, r2 *topo.Node) { r1.NoRoutes(); r2.NoRoutes() },
		"forwarding that two lack": func(r1, r2 *topo.Node) {
			for _, r := range []*topo.Node{r1, r2} {
				r.Sysctl("net.ipv4.ip_forward", "0").Sysctl("net.ipv6.conf.all.forwarding", "0")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chain := topo.New("chain")
			a := chain.Wire("a", "10.0.1.0/24", "fd00:1::/64")
			b := chain.Wire("b", "10.0.2.0/24", "fd00:2::/64")
			c := chain.Wire("c", "10.0.3.0/24", "fd00:3::/64")
			chain.Host("server", c)
			chain.Host("client", a)
			set(chain.Router("r1", b, a), chain.Router("r2", c, b))
			lab := harness.Up(t, chain)
			no := probes.BeIsolatedFrom
			if answers[name] {
				no = probes.BeUnansweredBy
			}
			if said := confirmed(t, lab.Node("client"), no(lab.Node("server"))); said != "" {
				t.Error(said)
			}
		})
	}
}

// vacuous is an office whose rule would isolate the server, had it not been down
// anyway.
func vacuous(t *testing.T) (client, server *harness.Node) {
	t.Helper()
	lab := harness.Up(t, office(barred))
	if err := lab.Node("server").Port("dmz").Down(); err != nil {
		t.Fatal(err)
	}
	return lab.Node("client"), lab.Node("server")
}

// A check that passes for another reason than it names does not turn.
func TestVacuousIsolationFails(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	client, server := vacuous(t)
	gomega.NewWithT(t).Expect(client).To(probes.BeIsolatedFrom(server, icmp).At("fw").By("no echo"))
	said := confirmed(t, client, probes.BeIsolatedFrom(server, icmp))
	for _, want := range []string{
		"control by mutation: the isolation of client -> server (10.0.2.1) icmp: ", " is not due to what it names:\n  without this: the request was dropped at fw by rule ",
		"\n  without this: the request was dropped at fw by policy drop of inet filter forward\n  it does not get through either: ",
		"the request was lost at server/dmz: the link is down\n    seen of it:\n",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
}

// What cannot be repeated is not checked, and to MustMatter that is an error.
func TestIsolationThatCannotBeRepeated(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	for want, change := range map[string]func(t *testing.T, client, server, fw *harness.Node) error{
		`not checked: twin: node client: changed by other means than the harness's: links: "lan inet 10.0.1.77/24 `: func(t *testing.T, client, _, _ *harness.Node) error {
			link, err := client.Netlink().LinkByName("lan")
			if err != nil {
				return err
			}
			addr, _ := netlink.ParseAddr("10.0.1.77/24")
			return client.Netlink().AddrAdd(link, addr)
		},
	} {
		lab := harness.Up(t, office(barred))
		client, server := lab.Node("client"), lab.Node("server")
		if err := change(t, client, server, lab.Node("fw")); err != nil {
			t.Fatal(err)
		}
		if said := confirmed(t, client, probes.BeIsolatedFrom(server, icmp)); !strings.HasPrefix(said, want) {
			t.Errorf("%s\nwant %s", said, want)
		}
	}
	lab := harness.Up(t, office(barred))
	client, server := lab.Node("client"), lab.Node("server")
	r, err := probes.Watch(t.Context(), client, server, ssh)
	if err == nil {
		err = lab.Node("fw").Nft("flush ruleset")
	}
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := probes.MustMatter(probes.BeIsolatedFrom(server)).Match(r); ok || err == nil || !strings.HasPrefix(err.Error(), "not checked: a fresh lab from its plan shows something else: the request was refused at server/dmz") {
		t.Errorf("what has changed since: %v %v", ok, err)
	}
	if err := server.Port("dmz").Down(); err != nil {
		t.Fatal(err)
	}
	if said := confirmed(t, client, probes.BeIsolatedFrom(server).Because("linkdown")); said != "not checked: what stopped it is no policy" {
		t.Error("no policy: ", said)
	}
}

// samples are tests that run by themselves, with NSTEST_MUTATE.
const samplesVar = "NSTEST_TEST_SAMPLE"

func TestMutationSample(t *testing.T) {
	client, server := (*harness.Node)(nil), (*harness.Node)(nil)
	switch os.Getenv(samplesVar) {
	case "":
		return
	case "vacuous":
		client, server = vacuous(t)
	case "changed":
		lab := harness.Up(t, office(barred))
		client, server = lab.Node("client"), lab.Node("server")
		route := &netlink.Route{Dst: netlink.NewIPNet([]byte{10, 0, 9, 9}), Type: 6} // RTN_BLACKHOLE
		if err := server.Netlink().RouteAdd(route); err != nil {
			t.Fatal(err)
		}
	default:
		lab := harness.Up(t, office(barred))
		client, server = lab.Node("client"), lab.Node("server")
	}
	if os.Getenv(samplesVar) == "matrix" {
		gomega.NewWithT(t).Expect(probes.WatchSurvey(t.Context(), client.Lab(), icmp)).To(probes.MatchMatrix(`
			        client   server   fw
			client  .        drop@fw  ok
			server  drop@fw  .        ok
			fw      ok       .        .
		`))
		return
	}
	gomega.NewWithT(t).Expect(client).To(probes.BeIsolatedFrom(server, icmp).At("fw").By("no echo"))
}

// With NSTEST_MUTATE every check is controlled: a vacuous one fails the tests, and
// those that could not be checked are told at their end.
func TestMutateVariable(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	for _, row := range []struct {
		mutate, sample string
		passes         bool
		says           string // "" for nothing about it
	}{
		{"1", "sound", true, "control by mutation: 2 checks of isolation turned when what they name was lifted, 0 were not checked\n"},
		{"1", "matrix", true, "control by mutation: 2 checks of isolation turned when what they name was lifted, 0 were not checked\n"},
		{"1", "vacuous", false, "is not due to what it names"},
		{"1", "changed", true, "control by mutation: 0 checks of isolation turned when what they name was lifted, 2 were not checked\n  not checked: client -> server icmp, drop@fw, and 1 like it: twin: node server: changed"},
		{"0", "vacuous", true, ""},
		{"", "vacuous", true, ""},
	} {
		tried := filepath.Join(t.TempDir(), "rules.txt")
		cmd := exec.Command(os.Args[0], "-test.run=^TestMutationSample$", "-test.count=1")
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "NSTEST_MUTATE=") }), samplesVar+"="+row.sample, "NSTEST_RULE_COVERAGE="+tried)
		if row.mutate != "" {
			cmd.Env = append(cmd.Env, "NSTEST_MUTATE="+row.mutate)
		}
		out, err := cmd.CombinedOutput()
		if (err == nil) != row.passes || !strings.Contains(string(out), row.says) || row.says == "" && strings.Contains(string(out), "control by mutation") {
			t.Errorf("%+v: %v\n%s", row, err, out)
		}
		// What the probe met in the copy is not met in the lab.
		if lines, err := os.ReadFile(tried); err != nil || !strings.Contains(string(lines), "never\toffice\tfw\tinet\tfilter\tforward\t0\tpolicy drop\n") {
			t.Errorf("%+v: %v\n%s", row, err, lines)
		}
	}
}
