package probes

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
)

// found is a matrix with one of each outcome.
func found(t *testing.T) *Matrix {
	nodes := harness.Up(t, flat("found", 2)).Nodes()
	node, other := nodes[0], nodes[1]
	m := newMatrix([]string{"client", "fw"}, []string{"client", "fw/dmz", "server", "10.9.9.9"})
	put := func(row, col int, r Result) { *m.at(row, col) = append(*m.at(row, col), r) }
	fw := netip.MustParseAddr("10.0.1.2")
	put(0, 1, Result{Outcome: Answered, By: "fw", by: node, target: node})
	put(0, 1, Result{Outcome: Answered, By: "fw", by: node, target: node})
	put(0, 2, Result{Outcome: Rejected, By: "fw", Sender: fw, target: node})
	put(0, 3, Result{Outcome: Rejected, Sender: fw})
	put(1, 0, Result{Outcome: Answered, By: "other", by: other, Proven: true, target: node})
	put(1, 2, Result{Outcome: Answered, By: "server", by: node, target: node})
	put(1, 2, Result{Outcome: Refused, By: "server", by: node, target: node})
	put(1, 3, Result{Outcome: Unsent})
	return m
}

const foundText = `        client       fw/dmz  server       10.9.9.9
client  .            ok      rejected@fw  rejected@10.0.1.2
fw      wrong@other  .       ok,refused   unsent
`

func TestMatrixString(t *testing.T) {
	t.Parallel()
	if got := found(t).String(); got != foundText {
		t.Errorf("got\n%s\nwant\n%s", got, foundText)
	}
}

func TestMatrixCells(t *testing.T) {
	t.Parallel()
	m := found(t)
	for at, want := range map[[2]string]string{
		{"client", "fw/dmz"}: "ok", {"client", "client"}: ".", {"fw", "server"}: "ok,refused",
		{"nobody", "server"}: "", {"client", "nobody"}: "",
	} {
		if got := m.Cell(at[0], at[1]); got != want {
			t.Errorf("%v: %q, not %q", at, got, want)
		}
	}
	if got := m.Results("client", "fw/dmz"); len(got) != 2 || got[0].By != "fw" {
		t.Error(got)
	}
	m.Results("client", "fw/dmz")[0].By = "changed"
	if m.Results("client", "fw/dmz")[0].By != "fw" {
		t.Error("what Results returns is the matrix's own")
	}
	for _, at := range [][2]string{{"client", "client"}, {"nobody", "server"}, {"client", "nobody"}, {"", ""}} {
		if got := m.Results(at[0], at[1]); len(got) != 0 {
			t.Errorf("%v: %v", at, got)
		}
	}
}

// A cell of a survey under watch says what its Result says.
func TestWatchedCells(t *testing.T) {
	t.Parallel()
	nodes := harness.Up(t, flat("cells", 2)).Nodes()
	fw := netip.MustParseAddr("10.0.1.2")
	cause := func(kind evidence.Kind, node string, leg evidence.Role) *evidence.Cause {
		return &evidence.Cause{Kind: kind, Node: node, Leg: leg}
	}
	for want, r := range map[string]Result{
		"drop@fw":                  {Outcome: Silent, Cause: cause(evidence.Drop, "fw", evidence.Request)},
		"answer:drop@fw":           {Outcome: Silent, Cause: cause(evidence.Drop, "fw", evidence.Answer)},
		"refused":                  {Outcome: Refused, By: "server", Cause: cause(evidence.NoListener, "server", evidence.Request)},
		"nolistener@fw":            {Outcome: Rejected, By: "fw", Cause: cause(evidence.NoListener, "fw", evidence.Request)},
		"nolistener@server":        {Outcome: Silent, Cause: cause(evidence.NoListener, "server", evidence.Request)},
		"martian@fw":               {Outcome: Refused, By: "fw", Cause: cause(evidence.Martian, "fw", evidence.Request)},
		"reject@server":            {Outcome: Refused, By: "server", Cause: cause(evidence.Reject, "server", evidence.Request)},
		"silent":                   {Outcome: Silent, Cause: cause(evidence.Unknown, "fw", evidence.Request)},
		"rejected@fw":              {Outcome: Rejected, By: "fw", Cause: cause(evidence.Unknown, "fw", evidence.Request)},
		"rejected@10.0.1.2":        {Outcome: Rejected, Sender: fw, Cause: cause(evidence.Unknown, "fw", evidence.Request)},
		"leak:reject@fw":           {Outcome: Rejected, By: "fw", Cause: cause(evidence.Reject, "fw", evidence.Request), target: nodes[0], Packets: []evidence.Packet{{Role: evidence.Request, Copy: true, Node: nodes[0].Name(), Fate: evidence.Delivered}}},
		"leak:drop@fw":             {Outcome: Silent, Cause: cause(evidence.Drop, "fw", evidence.Request), target: nodes[0], Packets: []evidence.Packet{{Role: evidence.Request, Fragment: true, Node: nodes[0].Name(), Fate: evidence.Delivered}}},
		"wrong@" + nodes[1].Name(): {Outcome: Answered, By: nodes[1].Name(), by: nodes[1], target: nodes[0]},
	} {
		if got := cellWord(r); got != want {
			t.Errorf("%s, not %s: %s, %v", got, want, r, r.Cause)
		}
	}
}

func TestMatrixRoundTrip(t *testing.T) {
	t.Parallel()
	m := found(t)
	want, err := parseMatrix(m.String())
	if err != nil {
		t.Fatal(err)
	}
	if differing, err := want.compare(m); err != nil || len(differing) != 0 {
		t.Errorf("a matrix does not match itself: %v, %v", differing, err)
	}
	if got := want.String(); got != foundText {
		t.Errorf("parsed and printed:\n%s", got)
	}
	*m.at(0, 0) = []Result{{Outcome: Silent}}
	if _, err := parseMatrix(m.String()); err == nil {
		t.Errorf("silence matches:\n%s", m)
	}
}

func TestParseMatrixMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                             "no rows: write a line of column names, then a line for each row",
		"  a b\n":                      "no rows: write a line of column names, then a line for each row",
		"  a a\n":                      "line 1: column a stands there twice",
		"\n  a b\nx ok\n":              "line 3: row x has 1 cell for 2 columns",
		"  a b\nx ok ok ok\n":          "line 2: row x has 3 cells for 2 columns",
		"  a\nx ok\n\ny ok\nx ok\n":    "row x stands there twice",
		"  a b\nx ok silent\n":         `line 2: row x, column b: silence is no evidence, so "silent" matches nothing: survey under watch, and write the cause`,
		"  a b\nx ok ok,silent\ny . .": `line 2: row x, column b: silence is no evidence, so "ok,silent" matches nothing: survey under watch, and write the cause`,
	} {
		if e, err := parseMatrix(text); err == nil || err.Error() != want {
			t.Errorf("%q\ngot  %v (%v)\nwant %s", text, err, e, want)
		}
	}
}

func TestCompareFindsTheDifferingCellsOnly(t *testing.T) {
	t.Parallel()
	want, err := parseMatrix(`
			 server   10.9.9.9           client   fw/dmz
		fw   ok       unsent             .        ok
		client
	`)
	if err == nil {
		t.Fatal("a row without cells: ", want)
	}
	want, err = parseMatrix(`
		        server       10.9.9.9  client  fw/dmz
		fw      ok,refused   unsent    .       ok
		client  rejected@fw  refused   .       ok
	`)
	if err != nil {
		t.Fatal(err)
	}
	differing, err := want.compare(found(t))
	if err != nil || len(differing) != 2 {
		t.Fatal(differing, err)
	}
	if d := differing[0]; d.from != "fw" || d.to != "fw/dmz" || d.want != "ok" || d.got != "." || len(d.results) != 0 {
		t.Errorf("what was never asked: %+v", d)
	}
	if d := differing[1]; d.from != "client" || d.to != "10.9.9.9" || d.want != "refused" || d.got != "rejected@10.0.1.2" || len(d.results) != 1 {
		t.Errorf("%+v", d)
	}
}

// FuzzParseMatrix: what is read is a table that prints to one that reads the same.
func FuzzParseMatrix(f *testing.F) {
	f.Add(foundText)
	f.Add("a\nb ok")
	f.Add("a a\n")
	f.Add("a\nb silent,ok")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseMatrix(text)
		if err != nil {
			return
		}
		if len(e.rows) == 0 || len(e.rows) != len(e.cells) {
			t.Fatalf("%+v", e)
		}
		for i, cells := range e.cells {
			if len(cells) != len(e.cols) {
				t.Fatalf("row %s: %v for %v", e.rows[i], cells, e.cols)
			}
		}
		if !printable(e) {
			return // tabwriter has its own use for some
		}
		again, err := parseMatrix(e.String())
		if err != nil || again.String() != e.String() {
			t.Errorf("%q prints as %q, which reads as %v, %v", text, e.String(), again, err)
		}
	})
}

func printable(e *expectation) bool {
	for _, names := range append([][]string{e.rows, e.cols}, e.cells...) {
		for _, name := range names {
			if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
				return false
			}
		}
	}
	return true
}
