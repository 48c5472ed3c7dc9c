package verdict

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nstest/nstest/probes/evidence"
)

// causesTable has a line for each kind of cause: what is said of it, a spec that shows it,
// what the spec's judge is, and what confirms it in every verdict.
const causesTable = "../../evidence/CAUSES.md"

// causeLine is one of its lines.
type causeLine struct{ kind, sentence, spec, judge, confirmed string }

func causeLines(t *testing.T) (lines []causeLine) {
	t.Helper()
	text, err := os.ReadFile(causesTable)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if strings.HasPrefix(line, "| ") && cells[0] != "kind" {
			if len(cells) != 5 {
				t.Fatalf("a line of %d cells, not 5: %s", len(cells), line)
			}
			lines = append(lines, causeLine{cells[0], cells[1], cells[2], cells[3], cells[4]})
		}
	}
	return lines
}

// said are the sentences that this package's tests say of each kind, by the constant's name.
func said(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	sources(t, ".", func(_ string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			kind, text := "", ""
			if lit, ok := n.(*ast.CompositeLit); ok {
				for _, e := range lit.Elts {
					pair, ok := e.(*ast.KeyValueExpr)
					if !ok {
						continue
					}
					switch key, _ := pair.Key.(*ast.Ident); {
					case key == nil:
					case key.Name == "kind":
						if s, ok := pair.Value.(*ast.SelectorExpr); ok {
							kind = s.Sel.Name
						}
					case key.Name == "text":
						text = literal(pair.Value)
					}
				}
			}
			if kind != "" && text != "" {
				found[kind] = append(found[kind], text)
			}
			return true
		})
	})
	return found
}

// spec is one of the suites', with what its source mentions.
type spec struct {
	mentions map[string]bool // evidence's names
	words    []string        // its strings, and the functions that it calls: "keeps()"
}

// specs are those of all suites, by "suites/causes: a link that is down is named".
func specs(t *testing.T) map[string]spec {
	t.Helper()
	found := map[string]spec{}
	sources(t, "../../../suites", func(dir string, file *ast.File) {
		where := "suites/" + filepath.Base(dir) + ": "
		for _, d := range file.Decls {
			ast.Inspect(d, func(n ast.Node) bool { return container(n, where, found) })
		}
	})
	return found
}

// container looks into a Describe, and into those in it.
func container(n ast.Node, title string, found map[string]spec) bool {
	call, ok := n.(*ast.CallExpr)
	name := calls(call)
	if !ok || name != "Describe" && name != "Context" && name != "It" && name != "DescribeTable" || len(call.Args) < 2 {
		return true
	}
	title += literal(call.Args[0])
	if name == "It" || name == "DescribeTable" {
		found[title] = read(call)
		for _, arg := range call.Args {
			if entry, ok := arg.(*ast.CallExpr); ok && calls(entry) == "Entry" {
				found[title+" "+literal(entry.Args[0])] = read(entry)
			}
		}
		return false
	}
	for _, arg := range call.Args[1:] {
		ast.Inspect(arg, func(n ast.Node) bool { return container(n, title+" ", found) })
	}
	return false
}

func calls(call *ast.CallExpr) string {
	if call == nil {
		return ""
	}
	if f, ok := call.Fun.(*ast.Ident); ok {
		return f.Name
	}
	return ""
}

// read is what a spec's source mentions.
func read(call *ast.CallExpr) spec {
	s := spec{mentions: map[string]bool{}}
	ast.Inspect(call, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "evidence" {
				s.mentions[n.Sel.Name] = true
			}
		case *ast.BasicLit:
			s.words = append(s.words, literal(n))
		case *ast.CallExpr:
			s.words = append(s.words, calls(n)+"()")
		}
		return true
	})
	return s
}

// literal is a string's value; "" of what is none.
func literal(e ast.Expr) string {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		text, _ := strconv.Unquote(lit.Value)
		return text
	}
	return ""
}

// sources are the tests' files below a directory.
func sources(t *testing.T, root string, each func(dir string, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			each(filepath.Dir(path), file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// confirms is what the table says of what confirms a kind.
func (r *row) confirms() string {
	if r.confirmed.otherwise != "" {
		return r.confirmed.otherwise
	}
	return strings.Join(r.confirmed.counters, ", ")
}

// Each kind of cause has a line in the table, whose sentence is one that is said of it, and whose
// spec is there, is about it, and has that judge.
func TestCausesAreListed(t *testing.T) {
	t.Parallel()
	constants, sentences, all := kinds(t), said(t), specs(t)
	if len(all) < 300 || len(sentences) < 20 {
		t.Fatalf("the control: %d specs and sentences of %d kinds were read", len(all), len(sentences))
	}
	left := kinds(t)
	delete(left, string(evidence.Unknown)) // what is no verdict
	for _, line := range causeLines(t) {
		for _, wrong := range line.wrong(constants[line.kind], sentences, all) {
			t.Errorf("%s, %s: %s", causesTable, line.kind, wrong)
		}
		delete(left, line.kind)
	}
	for kind, name := range left {
		var show []string
		for title, s := range all {
			if s.mentions[name] {
				show = append(show, title)
			}
		}
		slices.Sort(show)
		t.Errorf("%s has no line for %s: sentences %q, specs %q", causesTable, kind, sentences[name], show)
	}
}

// wrong is what is wrong with a line about the kind of a constant's name.
func (l causeLine) wrong(constant string, sentences map[string][]string, all map[string]spec) (wrong []string) {
	if constant == "" {
		return []string{"there is no such kind"}
	}
	if !slices.Contains(sentences[constant], l.sentence) {
		wrong = append(wrong, fmt.Sprintf("no test of this package says %q; they say %q", l.sentence, sentences[constant]))
	}
	s, ok := all[l.spec]
	switch {
	case !ok:
		wrong = append(wrong, fmt.Sprintf("there is no spec %q", l.spec))
	case !s.mentions[constant]:
		wrong = append(wrong, fmt.Sprintf("spec %q does not mention evidence.%s", l.spec, constant))
	case !slices.Contains(s.words, l.judge):
		wrong = append(wrong, fmt.Sprintf("spec %q does not say %q of its judge: %q", l.spec, l.judge, s.judged()))
	}
	if want := rowOf(evidence.Kind(l.kind)).confirms(); l.confirmed != want {
		wrong = append(wrong, fmt.Sprintf("%q confirms it, says its row", want))
	}
	return wrong
}

// The check of lines is no empty one.
func TestALineThatIsAllWrong(t *testing.T) {
	t.Parallel()
	all := map[string]spec{"a": {mentions: map[string]bool{}}, "b": {mentions: map[string]bool{"Drop": true}}}
	for _, l := range []causeLine{{kind: "drop", spec: "none"}, {kind: "drop", spec: "a"}, {kind: "drop", spec: "b", judge: "nobody"}} {
		if wrong := l.wrong("Drop", nil, all); len(wrong) != 3 {
			t.Errorf("%+v: but %q", l, wrong)
		}
	}
	if wrong := (causeLine{}).wrong("", nil, all); len(wrong) != 1 {
		t.Errorf("no kind: but %q", wrong)
	}
}

// judged is what a spec says of judges.
func (s spec) judged() (words []string) {
	for _, word := range s.words {
		if strings.Contains(word, "judge") || strings.Contains(word, "kernel's own") || strings.Contains(word, "plain") {
			words = append(words, word)
		}
	}
	return words
}
