package probes

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// Each row is whole, and what it says is what it does: it asks, its responder
// signs, and a node without one refuses, or answers by itself.
func TestEveryKindIsWhole(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, flat("kinds", 3))
	asker, served, bare := lab.Nodes()[0], lab.Nodes()[1], lab.Nodes()[2]
	names := map[string]bool{}
	for _, k := range kinds {
		p := Probe{kind: k, within: 20 * time.Second}
		if k.ports {
			p.port = 7
		}
		switch {
		case k.name == "" || names[k.name]:
			t.Errorf("%s: no name of its own", p)
		case k.protocol == 0 || k.ask == nil || k.silence == "":
			t.Errorf("%s: protocol, ask or silence is missing", p)
		case k.socket != 0 && k.socket != unix.SOCK_STREAM && k.socket != unix.SOCK_DGRAM:
			t.Errorf("%s: no type of socket: %d", p, k.socket)
		case k.socket == 0 && k.together == nil && !k.unserved:
			t.Errorf("%s: its sockets are its own, and a survey has one for each probe", p)
		}
		names[k.name] = true
		if k.unserved || k.transport == unix.IPPROTO_UDPLITE && !haveUDPLite() {
			continue
		}
		if k.serve != nil {
			Serve(t, served, p)
		}
		for _, to := range []*harness.Node{served, bare} {
			r, err := Ask(t.Context(), asker, to, p)
			want := Answered
			if k.serve != nil && to == bare {
				want = Refused
			}
			if err != nil || r.Outcome != want || r.Proven != (k.serve != nil && to == served) {
				t.Errorf("%s: %+v, %v", p, r, err)
			}
		}
	}
}

// A kernel that lacks a protocol cannot ask by it, which is said, and is no outcome.
func TestAProtocolThatTheKernelLacks(t *testing.T) {
	t.Parallel()
	const nobodys = 253
	lacking := *udpLiteKind
	lacking.name, lacking.transport = "newer", nobodys
	nodes := harness.Up(t, flat("lacking", 2)).Nodes()
	r, err := Ask(t.Context(), nodes[0], nodes[1], Probe{kind: &lacking, port: 7})
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "this kernel does not have newer") {
		t.Errorf("%+v, %v", r, err)
	}
}

// A kind is named in its own file and in the list, and nowhere else.
func TestNoKindIsNamedElsewhere(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	declared, used := map[string]string{}, map[string]map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if name, ok := n.(*ast.Ident); ok && strings.HasSuffix(name.Name, "Kind") && name.Name != "Kind" {
				if used[name.Name] == nil {
					used[name.Name] = map[string]bool{}
				}
				used[name.Name][file] = true
			}
			if v, ok := n.(*ast.ValueSpec); ok && strings.HasSuffix(v.Names[0].Name, "Kind") {
				declared[v.Names[0].Name] = file
			}
			return true
		})
	}
	if len(declared) != len(kinds) {
		t.Errorf("the list has %d kinds, and the files %v", len(kinds), declared)
	}
	for name, file := range declared {
		delete(used[name], file)
		delete(used[name], "kind.go")
		if len(used[name]) > 0 {
			t.Errorf("%s is of %s, and is named in %v", name, file, used[name])
		}
	}
}
