package probes_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
)

// matches fails the test unless a matrix is as a text has it.
func matches(t *testing.T, matrix *probes.Matrix, err error, text string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	matcher := probes.MatchMatrix(text)
	if ok, err := matcher.Match(matrix); err != nil {
		t.Errorf("%v; observed\n%s", err, matrix)
	} else if !ok {
		t.Error(matcher.FailureMessage(matrix))
	}
}

func TestSurveyAsksAllPairs(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	matrix, err := probes.Survey(t.Context(), lab)
	matches(t, matrix, err, `
		        client  server  fw
		client  .       ok      ok
		server  ok      .       ok
		fw      ok      ok      .
	`)
	results := matrix.Results("client", "fw")
	if len(results) != 2 || results[0].Addr.String() != "10.0.1.2" || results[1].Addr.String() != "fd00:1::2" {
		t.Errorf("a node is asked at its nearest address of each family: %v", results)
	}
	for _, r := range results {
		if r.Outcome != probes.Answered || r.From != "client" || r.To != "fw" || r.By != "fw" || r.Sender != r.Addr || r.RTT <= 0 || r.RTT > time.Second {
			t.Errorf("%+v", r)
		}
	}
}

func TestSurveyOfThirtyNodes(t *testing.T) {
	t.Parallel()
	network := topo.New("thirty")
	var segments []topo.Attachment
	for i := range 5 {
		lan := network.Switch(fmt.Sprintf("lan%d", i), fmt.Sprintf("10.0.%d.0/24", i), fmt.Sprintf("fd00:%d::/64", i))
		segments = append(segments, lan)
		for j := range 5 + i%2 {
			network.Host(fmt.Sprintf("h%d.%d", i, j), lan)
		}
	}
	network.Router("r1", segments...)
	network.Router("r2", segments[:2]...)
	network.Host("alone", segments[4])
	lab := harness.Up(t, network)
	if len(lab.Nodes()) != 30 {
		t.Fatal(len(lab.Nodes()))
	}
	matrix, err := probes.Survey(t.Context(), lab, icmp, icmp.Size(1400), probes.UDP(9).Within(patience), web)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range lab.Nodes() {
		for _, to := range lab.Nodes() {
			want, results := "ok,refused", 8
			if from == to {
				want, results = ".", 0
			}
			if got := matrix.Cell(from.Name(), to.Name()); got != want || len(matrix.Results(from.Name(), to.Name())) != results {
				t.Errorf("%s -> %s: %s, %v", from, to, got, matrix.Results(from.Name(), to.Name()))
			}
		}
	}
}

func TestGridAsksWhatWasChosen(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
	probes.Serve(t, server, web, dns)
	grid := probes.Grid{
		From: []*harness.Node{client, fw, harness.Attach(t, "guest", server.Path())},
		To: []probes.Target{server, fw.On("dmz"), fw.On("lan"), netip.MustParseAddr("10.0.2.1"), netip.MustParseAddr("fd00:1::1"),
			netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("127.0.0.1")},
	}
	matrix, err := grid.Survey(t.Context())
	matches(t, matrix, err, `
		        server  fw/dmz  fw/lan  10.0.2.1  fd00:1::1  203.0.113.9  127.0.0.1
		client  ok      ok      ok      ok        ok         rejected@fw  ok
		fw      ok      .       .       ok        ok         unsent       ok
		guest   ok      ok      ok      ok        ok         rejected@10.0.2.2  ok
	`)
	for cell, want := range map[[2]string]string{
		{"client", "fw/dmz"}: "10.0.2.2 fd00:2::2", {"guest", "fw/lan"}: "10.0.1.2 fd00:1::2",
		{"client", "10.0.2.1"}: "10.0.2.1", {"client", "server"}: "10.0.2.1 fd00:2::1",
	} {
		var asked []string
		for _, r := range matrix.Results(cell[0], cell[1]) {
			asked = append(asked, r.Addr.String())
		}
		if got := strings.Join(asked, " "); got != want {
			t.Errorf("%v: asked at %s, not %s", cell, got, want)
		}
	}
	grid.To, grid.Probes = []probes.Target{server}, []probes.Probe{web, dns, probes.TCP(81).Within(patience)}
	matrix, err = grid.Survey(t.Context())
	matches(t, matrix, err, `
		        server
		client  ok,refused
		fw      ok,refused
		guest   ok,refused
	`)
	for _, from := range []string{"client", "fw", "guest"} {
		for _, r := range matrix.Results(from, "server") {
			if signed := r.Probe.String() != "tcp/81"; r.By != "server" || r.Proven != signed {
				t.Errorf("%+v", r)
			}
		}
	}
}

func TestSurveyNamesWhoRejects(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet filter {
		chain forward {
			type filter hook forward priority 0; policy accept;
			iifname "dmz" ct state new reject with icmpx admin-prohibited
		}
	}`))
	matrix, err := probes.Survey(t.Context(), lab, icmp, web, dns)
	matches(t, matrix, err, `
		        client       server   fw
		client  .            ok,refused  ok,refused
		server  rejected@fw  .        ok,refused
		fw      ok,refused   ok,refused  .
	`)
	for _, r := range matrix.Results("server", "client") {
		want := probes.ICMPError{Type: 3, Code: 13}
		if r.Addr.Is6() {
			want = probes.ICMPError{Type: 1, Code: 1}
		}
		if r.Outcome != probes.Rejected || r.By != "fw" || r.ICMP == nil || *r.ICMP != want {
			t.Errorf("%+v", r)
		}
	}
}

func TestSurveyOfManyRejections(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet filter {
		chain forward {
			type filter hook forward priority 0; policy accept;
			reject with icmpx admin-prohibited
		}
	}`))
	grid := probes.Grid{From: []*harness.Node{lab.Node("client"), harness.Attach(t, "guest", lab.Node("client").Path())}}
	for i := range 100 {
		grid.To = append(grid.To, netip.AddrFrom4([4]byte{10, 0, 2, byte(10 + i)}), netip.MustParseAddr(fmt.Sprintf("fd00:2::%x", 10+i)))
	}
	matrix, err := grid.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range grid.To {
		for from, by := range map[string]string{"client": "fw", "guest": ""} {
			if r := matrix.Results(from, to.String())[0]; r.Outcome != probes.Rejected || r.By != by {
				t.Errorf("%+v", r)
			}
		}
	}
}

func TestSurveyOfTenants(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, tenants(2))
	client, server, stranger := lab.Node("tenant-0/client"), lab.Node("tenant-0/server"), lab.Node("tenant-1/server")
	probes.Serve(t, server, web, dns)
	probes.Serve(t, stranger, web, dns)
	grid := probes.Grid{From: []*harness.Node{client}, To: []probes.Target{server, stranger}, Probes: []probes.Probe{web, dns}}
	matrix, err := grid.Survey(t.Context())
	matches(t, matrix, err, `
		                 tenant-0/server  tenant-1/server
		tenant-0/client  ok               wrong@tenant-0/server
	`)

	// Nodes of two labs may be asked at once, and each lab knows its own.
	pair := topo.New("pair")
	wire := pair.Wire("wire", "10.0.0.0/24")
	pair.Host("left", wire)
	pair.Host("right", wire)
	left := harness.Up(t, pair).Node("left")
	addr := netip.MustParseAddr("10.0.0.2")
	for _, from := range [][]*harness.Node{{client, left}, {left, client}} {
		matrix, err = probes.Grid{From: from, To: []probes.Target{addr}}.Survey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r := matrix.Results("left", "10.0.0.2")[0]; r.Outcome != probes.Answered || r.By != "right" {
			t.Errorf("%+v", r)
		}
		if r := matrix.Results("tenant-0/client", "10.0.0.2")[0]; r.Outcome != probes.Answered || r.By != "tenant-0/server" {
			t.Errorf("%+v", r)
		}
	}
}

func TestSurveyMistakes(t *testing.T) {
	t.Parallel()
	network := topo.New("errors")
	wire := network.Wire("wire", "10.0.0.0/24")
	network.Host("a", wire)
	network.Host("b", wire)
	network.Host("six", network.Switch("other", "fd00::/64"))
	lab := harness.Up(t, network)
	a, b := lab.Node("a"), lab.Node("b")
	for want, grid := range map[string]probes.Grid{
		"survey: there is nobody to ask, or nothing to ask about":                                       {From: []*harness.Node{a}, To: []probes.Target{a, a.On("wire")}},
		"survey: two rows are called a":                                                                 {From: []*harness.Node{a, b, a}, To: []probes.Target{b}},
		"survey: two columns are called b/wire":                                                         {From: []*harness.Node{a}, To: []probes.Target{b.On("wire"), b, b.On("wire")}},
		"survey: a node that asks is nil":                                                               {From: []*harness.Node{a, nil}, To: []probes.Target{b}},
		"survey: no target: pass a *harness.Node, node.On(segment) or a netip.Addr":                     {From: []*harness.Node{a}, To: []probes.Target{nil}},
		"survey: the target is a nil node":                                                              {From: []*harness.Node{a}, To: []probes.Target{(*harness.Node)(nil)}},
		"survey: probe tcp/0: there is no port 0":                                                       {From: []*harness.Node{a}, To: []probes.Target{b}, Probes: []probes.Probe{icmp, probes.TCP(0)}},
		"survey: a -> fe80::1 (fe80::1) icmp: a link-local address needs an interface of the asker, as": {From: []*harness.Node{a}, To: []probes.Target{netip.MustParseAddr("fe80::1")}},
	} {
		matrix, err := grid.Survey(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), want) || matrix != nil {
			t.Errorf("got  %v, %v\nwant %s", err, matrix, want)
		}
	}
	if matrix, err := (probes.Grid{}).Survey(t.Context()); err == nil || matrix != nil {
		t.Error("the zero Grid: ", matrix)
	}
}

// Two that cannot ask each other anything do not keep the others from being asked.
func TestSurveyOfNoCommonFamily(t *testing.T) {
	t.Parallel()
	network := topo.New("families")
	lan := network.Switch("lan", "10.0.0.0/24", "fd00::/64")
	network.Host("four", lan.NoAddress().At("10.0.0.4"))
	network.Host("six", lan.NoAddress().At("fd00::6"))
	network.Host("both", lan)
	network.Host("none", lan.NoAddress())
	lab := harness.Up(t, network)
	const want = `
		      four  six  both  none
		four  .     n/a  ok    n/a
		six   n/a   .    ok    n/a
		both  ok    ok   .     n/a
		none  n/a   n/a  n/a   .`
	g := gomega.NewWithT(t)
	for _, survey := range []func(context.Context, *harness.Lab, ...probes.Probe) (*probes.Matrix, error){probes.Survey, probes.WatchSurvey} {
		matrix, err := survey(t.Context(), lab)
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(matrix).To(probes.MatchMatrix(want))
		g.Expect(matrix.Results("four", "six")).To(gomega.BeEmpty())
	}
	for _, watch := range []bool{false, true} {
		only := probes.Grid{From: []*harness.Node{lab.Node("four")}, To: []probes.Target{lab.Node("six")}, Watch: watch}
		matrix, err := only.Survey(t.Context())
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(matrix.Cell("four", "six")).To(gomega.Equal("n/a"))
		g.Expect(matrix).NotTo(probes.MatchMatrix("six\nfour ok"))
	}
}

func TestSurveyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	patient(t, "lan", lab.Node("client"))
	absent := probes.Grid{From: []*harness.Node{lab.Node("client")}}
	for i := range 20 {
		absent.To = append(absent.To, netip.AddrFrom4([4]byte{10, 0, 1, byte(100 + i)}))
	}
	for _, p := range []probes.Probe{icmp, web, dns} {
		absent.Probes = []probes.Probe{p.Within(time.Minute)}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		start := time.Now()
		matrix, err := absent.Survey(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || matrix != nil || !strings.HasPrefix(err.Error(), "survey: ") {
			t.Errorf("%s: %v, %v", p, matrix, err)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: a context of 30ms ended it after %s", p, took)
		}
		cancel()
		if matrix, err := probes.Survey(ctx, lab, p); err == nil || matrix != nil {
			t.Errorf("%s: a context that is over: %v", p, matrix)
		}
	}
}

// Requests that wait for neighbours nobody is fill a socket's buffer; a survey
// spreads them, and those that are answered are.
func TestSurveyOfManyWhoAreNotThere(t *testing.T) {
	t.Parallel()
	network := topo.New("empty")
	lan := network.Switch("lan", "10.0.0.0/24", "fd00::/64").MTU(9000)
	network.Host("a", lan)
	network.Host("b", lan.At("10.0.0.254"))
	lab := harness.Up(t, network)
	patient(t, "lan", lab.Node("a"))
	grid := probes.Grid{From: []*harness.Node{lab.Node("a")}, Probes: []probes.Probe{icmp.Size(8900).Within(soon)}}
	for i := range 60 {
		grid.To = append(grid.To, netip.AddrFrom4([4]byte{10, 0, 0, byte(2 + i)}))
	}
	absent := slices.Clone(grid.To)
	grid.To = append(grid.To, lab.Node("b").On("lan"))
	matrix, err := grid.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := matrix.Cell("a", "b/lan"); got != "ok" {
		t.Error("the control: ", got)
	}
	for _, to := range absent {
		if r := matrix.Results("a", to.String())[0]; r.Outcome != probes.Silent || r.RTT != soon {
			t.Errorf("%+v", r)
		}
	}
}
