package harness

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/topo"
)

// Patient lets bundles take their time.
func Patient() { bundleBound, nodesBound = time.Minute, time.Minute }

func TestSafeName(t *testing.T) {
	long := strings.Repeat("long ", 40)
	for name, want := range map[string]string{
		"TestX": "TestX", "TestX/a b": "TestX_a_b", `a:"b"<c>|*?\`: "a__b__c_____", "..": "_", "-rf": "rf", ".hidden": "hidden", "": "_",
		"größe": "gr__e", "a\x00b\nc": "a_b_c",
	} {
		if got := safeName(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
	one, two := safeName(long+"1"), safeName(long+"2")
	if len(one) != nameBound || one == two {
		t.Errorf("%q, %q", one, two)
	}
	if got := safePath("/a b/../c"); got != "_/a_b/_/c" {
		t.Errorf("the path is %q", got)
	}
}

func TestRepeatLine(t *testing.T) {
	for test, want := range map[string]string{
		"TestX":              "-run='^TestX$' ./harness",
		"TestX/a.b#01":       `-run='^TestX$/^a\.b#01$' ./harness`,
		"BenchmarkUp/10":     "-run='^$' -bench='^BenchmarkUp$/^10$' ./harness",
		"FuzzX":              "-run='^FuzzX$' ./harness",
		"the fw is (really)": `./harness -ginkgo.focus='the fw is \(really\)$'`,
		"Tests of X pass":    "./harness -ginkgo.focus='Tests of X pass$'",
		"it's":               `./harness -ginkgo.focus='it'\''s$'`,
	} {
		if got := repeatLine(test); !strings.HasSuffix(got, want) || !strings.Contains(got, "go test -count=1 ") {
			t.Errorf("%s: %s, want %s", test, got, want)
		}
	}
}

func TestRepeatLineHasTheEnvironment(t *testing.T) {
	t.Setenv(strictVar, "1")
	t.Setenv(missingVar, "root netem")
	t.Setenv(artifactsVar, "/somewhere")
	t.Setenv("NSTEST_RULE_COVERAGE", "/somewhere/rules.txt")
	line := repeatLine("TestX")
	if !strings.Contains(line, "NSTEST_STRICT=1 ") || !strings.Contains(line, "NSTEST_MISSING='root netem' ") || strings.Contains(line, "somewhere") {
		t.Error(line)
	}
}

// late is a bundle that has less time than what it waits for.
func late(t *testing.T) *bundle {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return &bundle{lab: newLab(&layout{plan: &topo.Plan{}}), ctx: ctx, dir: t.TempDir()}
}

func TestBundleDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	b := late(t)
	written := make(chan error, 1)
	end := make(chan bool)
	e := b.file("stuck", "", func(w io.Writer) error {
		<-end
		_, err := w.Write([]byte("too late"))
		written <- err
		return err
	})
	if !errors.Is(e.err, errLate) {
		t.Error(e.err)
	}
	close(end)
	if err := <-written; !errors.Is(err, errLate) {
		t.Errorf("the writer takes what is late: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(b.dir, "stuck")); err != nil || len(text) > 0 {
		t.Errorf("%q, %v", text, err)
	}
	if e := b.file("after", "", func(io.Writer) error { t.Error("called when time was up"); return nil }); !errors.Is(e.err, errLate) {
		t.Error(e.err)
	}
}

func TestBundleFilesEnd(t *testing.T) {
	var text bytes.Buffer
	w := &capped{&text, t.Context(), 5}
	if n, err := w.Write([]byte("1234")); n != 4 || err != nil {
		t.Error(n, err)
	}
	if n, err := w.Write([]byte("5678")); n != 1 || err == nil {
		t.Error(n, err)
	}
	if text.String() != "12345" {
		t.Error(text.String())
	}
}
