package report

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The report is one that Ginkgo wrote, cut to what is read of it.
func TestCountOfAReport(t *testing.T) {
	reports, err := Read(filepath.Join("testdata", "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	c := Count(reports...)
	if c.Passed != 2 || c.Skipped != 2 || len(c.Failures) != 2 {
		t.Fatalf("%+v", c)
	}
	if want := map[string]int{"require netem: no": 2}; !maps.Equal(c.Reasons, want) {
		t.Errorf("skipped for %v", c.Reasons)
	}
	if f := c.Failures[0]; f != (Failure{"the wall stands in the rain", "/src/wall_test.go:7", "Expected\n  up"}) {
		t.Errorf("%+v", f)
	}
	if f := c.Failures[1]; f.Name != "[AfterSuite]" || f.Why != "no bricks" {
		t.Errorf("a node that is no spec: %+v", f)
	}
	if got, want := c.String(), "2 failed, 2 passed, 2 skipped"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := c.Skips(), []string{"skipped 2: require netem: no"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFailureIsOneLine(t *testing.T) {
	for want, f := range map[string]Failure{
		"FAILED: the wall stands (wall_test.go:7): Expected up": {"the wall stands", "/src/wall_test.go:7", "Expected\n  up"},
		"FAILED: interrupted":                             {Name: "interrupted"},
		"FAILED: it: " + strings.Repeat("a", 200) + "...": {Name: "it", Why: strings.Repeat("a", 201)},
	} {
		if f.String() != want {
			t.Errorf("%q, want %q", f, want)
		}
	}
}

func TestSummarizeAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "summary")
	t.Setenv("GITHUB_STEP_SUMMARY", path)
	for _, word := range []string{"one ", "two"} {
		if err := Summarize(func(w io.Writer) { fmt.Fprint(w, word) }); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(path); string(text) != "one two" {
		t.Errorf("%q, %v", text, err)
	}
	t.Setenv("GITHUB_STEP_SUMMARY", "")
	if err := Summarize(func(io.Writer) { t.Error("there is no job, and it is told") }); err != nil {
		t.Error(err)
	}
}
