package probes

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/nstest/nstest/probes/evidence"
)

// Matrix is what a survey found: a row for each asker, a column for each
// target. A cell says ok when the target answered, else what came instead:
// refused, rejected@NODE, wrong@NODE when another node answered, silent, or
// unsent; of a survey under watch the cause and its node, drop@fw, or answer:drop@fw
// where the request arrived, and its answer was stopped, data:drop@fw where a connection
// was made and what was sent over it was stopped, leak:drop@fw where another fragment, or
// a copy of what was stopped, came in at the target, neighbour:drop@fw where a rule drops but
// the questions for a neighbour, or the answers, or nopath where nothing joins
// the two, whoever answered. "." was not asked, and "n/a" could not be: the two have no
// family of addresses in common. An answer that nobody signed, from an address of
// several nodes, counts as the target's: to tell them apart, ask with probes that Serve
// signs.
type Matrix struct {
	rows, cols []string
	results    [][]Result   // row by row
	apart      map[int]bool // cells of two that have no family of addresses in common
}

func newMatrix(rows, cols []string) *Matrix {
	return &Matrix{rows, cols, make([][]Result, len(rows)*len(cols)), map[int]bool{}}
}

// at are the results of a cell: one for each probe and address.
func (m *Matrix) at(row, col int) *[]Result { return &m.results[m.place(row, col)] }

func (m *Matrix) place(row, col int) int { return row*len(m.cols) + col }

// find is where a row and a column are; false where one is not, and of the nil Matrix, which a
// survey returns with its error.
func (m *Matrix) find(from, to string) (row, col int, is bool) {
	if m == nil {
		return 0, 0, false
	}
	row, col = slices.Index(m.rows, from), slices.Index(m.cols, to)
	return row, col, row >= 0 && col >= 0
}

// Cell is the word at a row and a column; "" when there is no such row or column.
func (m *Matrix) Cell(from, to string) string {
	row, col, is := m.find(from, to)
	if !is {
		return ""
	}
	return m.cell(row, col)
}

// Results are those behind a cell, one for each probe and address; none when
// there is no such row or column.
func (m *Matrix) Results(from, to string) []Result {
	row, col, is := m.find(from, to)
	if !is {
		return nil
	}
	return slices.Clone(*m.at(row, col))
}

const (
	notAsked = "."
	noFamily = "n/a"
)

// cell joins the words of its results, each once: "ok,refused" when two ports
// fared differently.
func (m *Matrix) cell(row, col int) string {
	results := *m.at(row, col)
	switch {
	case m.apart[m.place(row, col)]:
		return noFamily
	case len(results) == 0:
		return notAsked
	}
	var words []string
	for _, r := range results {
		if word := cellWord(r); !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return strings.Join(words, ",")
}

// cellWord is one result in a word. What is not accounted for, and a refusal by the target
// itself, is the outcome, else it is the cause.
func cellWord(r Result) string {
	switch {
	case r.noPath():
		return r.Cause.Word()
	case r.wrongOwner():
		return "wrong@" + r.By
	case r.Outcome == Answered && r.unsigned:
		return Silent.String() // the responder is silent, whoever has its connection
	case r.Outcome == Answered:
		return "ok"
	case r.Cause != nil && r.Cause.Kind != evidence.Unknown && (r.Outcome != Refused || r.Cause.Kind != evidence.NoListener):
		if r.Cause.Leg == evidence.Answer {
			return "answer:" + r.Cause.Word()
		}
		if r.Cause.Connected {
			return "data:" + r.Cause.Word()
		}
		if r.leaked() {
			return "leak:" + r.Cause.Word()
		}
		return r.Cause.Word()
	case r.Outcome == Rejected:
		if r.By == "" {
			return "rejected@" + r.Sender.String()
		}
		return "rejected@" + r.By
	}
	return r.Outcome.String()
}

// String is the matrix as a table, which a test can take as it is. Of a survey
// under watch a legend of the causes follows, in lines that begin with #.
func (m *Matrix) String() string {
	if m == nil {
		return "no matrix: the survey could not be made"
	}
	return m.table(m.cell) + m.legend()
}

// table lays out the names and what cell says.
func (m *Matrix) table(cell func(row, col int) string) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\t%s\n", strings.Join(m.cols, "\t"))
	for i, row := range m.rows {
		fmt.Fprint(w, row)
		for j := range m.cols {
			fmt.Fprintf(w, "\t%s", cell(i, j))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// expectation is a matrix as a test writes it.
type expectation struct {
	cols, rows []string
	cells      [][]string
}

// parseMatrix reads a table: column names, then a line for each row with its
// name and cells. Indentation, empty lines and those that begin with # do not
// count; "." is not compared.
func parseMatrix(text string) (*expectation, error) {
	e := &expectation{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if e.cols == nil {
			e.cols = fields
			if name, twice := repeated(fields); twice {
				return nil, fmt.Errorf("line %d: column %s stands there twice", number, name)
			}
			continue
		}
		if len(fields) != len(e.cols)+1 {
			return nil, fmt.Errorf("line %d: row %s has %s for %s", number, fields[0], plural(len(fields)-1, "cell"), plural(len(e.cols), "column"))
		}
		for i, cell := range fields[1:] {
			if slices.Contains(strings.Split(cell, ","), Silent.String()) {
				return nil, fmt.Errorf("line %d: row %s, column %s: silence is no evidence, so %q matches nothing:"+
					" survey under watch, and write the cause", number, fields[0], e.cols[i], cell)
			}
		}
		e.rows = append(e.rows, fields[0])
		e.cells = append(e.cells, fields[1:])
	}
	if name, twice := repeated(e.rows); twice {
		return nil, fmt.Errorf("row %s stands there twice", name)
	}
	if len(e.rows) == 0 {
		return nil, fmt.Errorf("no rows: write a line of column names, then a line for each row")
	}
	return e, nil
}

func repeated(names []string) (string, bool) {
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return name, true
		}
	}
	return "", false
}

// difference is a cell that is not as expected.
type difference struct {
	from, to, want, got string
	results             []Result
}

// compare finds the differing cells. Names that only one of the two has are an
// error: a row that is left out would be a check that never ran.
func (e *expectation) compare(m *Matrix) ([]difference, error) {
	for _, axis := range []struct {
		what       string
		want, have []string
	}{{"row", e.rows, m.rows}, {"column", e.cols, m.cols}} {
		for _, name := range axis.want {
			if !slices.Contains(axis.have, name) {
				return nil, fmt.Errorf("the matrix has no %s %s; it has: %s", axis.what, name, strings.Join(axis.have, ", "))
			}
		}
		for _, name := range axis.have {
			if !slices.Contains(axis.want, name) {
				return nil, fmt.Errorf("%s %s is missing from the text: add it, with \".\" for what is not to be compared", axis.what, name)
			}
		}
	}
	var differing []difference
	for i, row := range e.rows {
		for j, col := range e.cols {
			want, got := e.cells[i][j], m.Cell(row, col)
			if want != notAsked && want != got {
				differing = append(differing, difference{row, col, want, got, m.Results(row, col)})
			}
		}
	}
	return differing, nil
}

// policies are results that a policy stopped, of the cells that are compared; one for
// each that the policies stopped.
func (e *expectation) policies(m *Matrix) (results []Result) {
	seen := map[string]bool{}
	for i, row := range e.rows {
		for j, col := range e.cols {
			if e.cells[i][j] == notAsked {
				continue
			}
			for _, r := range m.Results(row, col) {
				if r.Cause != nil && r.Cause.Policy && !seen[r.Cause.String()] {
					seen[r.Cause.String()] = true
					results = append(results, r)
				}
			}
		}
	}
	return results
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
