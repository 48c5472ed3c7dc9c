package probes_test

import (
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/onsi/gomega"
)

// surveyed is the office without ssh from the lan, and two probes for each pair.
func surveyed(t *testing.T) *probes.Matrix {
	t.Helper()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(`table inet filter {
		chain forward {
			type filter hook forward priority 0; policy accept;
			iifname "lan" tcp dport 22 reject with icmpx admin-prohibited
		}
	}`))
	probes.Serve(t, lab.Node("server"), probes.TCP(22))
	matrix, err := probes.Survey(t.Context(), lab, icmp, probes.TCP(22))
	if err != nil {
		t.Fatal(err)
	}
	return matrix
}

const surveyedText = `
	        client      server          fw
	client  .           ok,rejected@fw  ok,refused
	server  ok,refused  .               ok,refused
	fw      ok,refused  ok              .
`

func TestMatchMatrix(t *testing.T) {
	t.Parallel()
	matrix := surveyed(t)
	g := gomega.NewWithT(t)
	g.Expect(matrix).To(probes.MatchMatrix(surveyedText))
	g.Expect(matrix).To(probes.MatchMatrix(matrix.String()), "it matches itself")
	g.Expect(matrix).To(probes.MatchMatrix(`

		            fw          server          client
		  fw          .         ok              ok,refused

		client      ok,refused  ok,rejected@fw  .
		server      ok,refused  .               ok,refused`), "rows and columns in any order, wherever they stand")
	g.Expect(matrix).To(probes.MatchMatrix(`
		        client  server          fw
		client  .       ok,rejected@fw  .
		server  .       .               .
		fw      .       .               .
	`), "a dot is not compared")
	g.Expect(probes.Survey(t.Context(), harness.Up(t, office("")))).NotTo(probes.MatchMatrix(surveyedText))
}

func TestMatchMatrixShowsTheDifferingCells(t *testing.T) {
	t.Parallel()
	matrix := surveyed(t)
	said := failures(func(g gomega.Gomega) {
		g.Expect(matrix).To(probes.MatchMatrix(`
			        server          client      fw
			server  .               ok,refused  ok,refused
			client  ok              .           ok,refused
			fw      ok,rejected@fw  ok,refused  .
		`))
	})
	want := `expected
          server          client      fw
  server  .               ok,refused  ok,refused
  client  ok              .           ok,refused
  fw      ok,rejected@fw  ok,refused  .
observed
          client      server          fw
  client  .           ok,rejected@fw  ok,refused
  server  ok,refused  .               ok,refused
  fw      ok,refused  ok              .
differing
  client -> server: expected ok, observed ok,rejected@fw
    client -> server (10.0.2.1) icmp: answered by server after TIME
    client -> server (fd00:2::1) icmp: answered by server after TIME
    client -> server (10.0.2.1) tcp/22: rejected by fw from 10.0.1.2 after TIME: administratively prohibited (icmp 3/13)
    client -> server (fd00:2::1) tcp/22: rejected by fw from fd00:1::2 after TIME: administratively prohibited (icmpv6 1/1)
  fw -> server: expected ok,rejected@fw, observed ok
    fw -> server (10.0.2.1) icmp: answered by server after TIME
    fw -> server (fd00:2::1) icmp: answered by server after TIME
    fw -> server (10.0.2.1) tcp/22: answered by server after TIME
    fw -> server (fd00:2::1) tcp/22: answered by server after TIME`
	if len(said) != 1 || said[0] != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(said, "\n"), want)
	}
	said = failures(func(g gomega.Gomega) { g.Expect(matrix).NotTo(probes.MatchMatrix(surveyedText)) })
	want = `expected another matrix than
          client      server          fw
  client  .           ok,rejected@fw  ok,refused
  server  ok,refused  .               ok,refused
  fw      ok,refused  ok              .`
	if len(said) != 1 || said[0] != want {
		t.Errorf("NotTo: got\n%s\nwant\n%s", strings.Join(said, "\n"), want)
	}
}

func TestMatchMatrixOfWhatIsNoTable(t *testing.T) {
	t.Parallel()
	matrix := surveyed(t)
	for _, c := range []struct {
		actual     any
		text, want string
	}{
		{"matrix", surveyedText, "MatchMatrix wants a *probes.Matrix; it got a string"},
		{nil, surveyedText, "MatchMatrix wants a *probes.Matrix; it got a <nil>"},
		{(*probes.Matrix)(nil), surveyedText, "MatchMatrix wants a *probes.Matrix; it got a nil one"},
		{matrix, "", "MatchMatrix: no rows: write a line of column names, then a line for each row"},
		{matrix, "client server fw\nclient . silent ok\n",
			`MatchMatrix: line 2: row client, column server: silence is no evidence, so "silent" matches nothing: survey under watch, and write the cause`},
		{matrix, "client server fw\nclient . ok\n", "MatchMatrix: line 2: row client has 2 cells for 3 columns"},
		{matrix, "client server fw\nclient . ok ok\nserver ok . ok\n", `MatchMatrix: row fw is missing from the text: add it, with "." for what is not to be compared`},
		{matrix, "client server\nclient . ok\nserver ok .\nfw ok ok\n", `MatchMatrix: column fw is missing from the text: add it, with "." for what is not to be compared`},
		{matrix, "client server fw\nclient . . .\nserver . . .\nfw . . .\nfwd . . .\n", "MatchMatrix: the matrix has no row fwd; it has: client, server, fw"},
		{matrix, "client server fw box\nclient . . . .\nserver . . . .\nfw . . . .\n", "MatchMatrix: the matrix has no column box; it has: client, server, fw"},
		{matrix, "client server fw\nclient . . .\nserver . . .\nfw . . .\nclient . . .\n", "MatchMatrix: row client stands there twice"},
		{matrix, "client fw fw\nclient . . .\nserver . . .\nfw . . .\n", "MatchMatrix: line 1: column fw stands there twice"},
	} {
		failsBothWays(t, c.actual, probes.MatchMatrix(c.text), c.want)
	}
}

// What came of silence is printed, and does not match what was printed.
func TestMatchMatrixNeverMatchesSilence(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	if err := lab.Node("server").SetSysctl("net.ipv4.icmp_echo_ignore_all", "1"); err != nil {
		t.Fatal(err)
	}
	grid := probes.Grid{From: []*harness.Node{lab.Node("client")}, To: []probes.Target{lab.Node("server"), lab.Node("fw")}, Probes: []probes.Probe{icmp.Within(soon)}}
	matrix, err := grid.Survey(t.Context())
	if err != nil || matrix.Cell("client", "server") != "silent,ok" || matrix.Cell("client", "fw") != "ok" {
		t.Fatal(matrix, err)
	}
	failsBothWays(t, matrix, probes.MatchMatrix(matrix.String()),
		`MatchMatrix: line 2: row client, column server: silence is no evidence, so "silent,ok" matches nothing: survey under watch, and write the cause`)
	for _, cell := range []string{"ok", "refused", "unsent", "rejected@fw"} {
		if matched, err := probes.MatchMatrix("server fw\nclient " + cell + " ok").Match(matrix); matched || err != nil {
			t.Errorf("%s matches silence: %v, %v", cell, matched, err)
		}
	}
}
