package probes_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/nstest/nstest/harness"
)

// goPackage is what `go list -json` says of a package.
type goPackage struct {
	ImportPath, Dir, Name string
	GoFiles, CgoFiles     []string
}

// listed are packages as the go command finds them on this machine.
func listed(t *testing.T, paths ...string) (found []goPackage) {
	t.Helper()
	harness.Require(t, harness.Tool("go"))
	out, err := exec.Command("go", append([]string{"list", "-find", "-json=ImportPath,Dir,Name,GoFiles,CgoFiles"}, paths...)...).Output()
	if err != nil {
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); err == io.EOF {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		found = append(found, p)
	}
}

// exported are the exported names that a package declares.
func exported(t *testing.T, p goPackage) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	add := func(name *ast.Ident) {
		if name.IsExported() {
			names[name.Name] = true
		}
	}
	for _, file := range append(p.GoFiles, p.CgoFiles...) {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv == nil {
					add(decl.Name)
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						add(spec.Name)
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							add(name)
						}
					}
				}
			}
		}
	}
	return names
}

// Specs import Ginkgo and Gomega with a dot. No name of ours is one of theirs,
// so that a name means one thing, qualified or not.
func TestNoNameIsGinkgosOrGomegas(t *testing.T) {
	t.Parallel()
	const module, ginkgo, gomega = "github.com/nstest/nstest/", "github.com/onsi/ginkgo/v2", "github.com/onsi/gomega"
	names := map[string]map[string]bool{}
	for _, p := range listed(t, module+"topo", module+"harness", module+"probes", ginkgo, gomega) {
		names[p.ImportPath] = exported(t, p)
	}
	for path, one := range map[string]string{
		module + "topo": "Network", module + "harness": "Lab", module + "probes": "Ask", ginkgo: "Describe", gomega: "Expect",
	} {
		if !names[path][one] {
			t.Fatalf("the control: %s was read without its %s: %v", path, one, names[path])
		}
	}
	for _, theirs := range []string{ginkgo, gomega} {
		for _, our := range []string{"topo", "harness", "probes"} {
			for name := range names[module+our] {
				// A condition of harness.Start, which reads as one: Start(t, cmd, harness.When(f)).
				if our == "harness" && name == "When" {
					continue
				}
				if names[theirs][name] {
					t.Errorf("%s.%s is also %s's", our, name, theirs)
				}
			}
		}
	}
}
