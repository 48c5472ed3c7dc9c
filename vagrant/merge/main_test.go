package main

import (
	"encoding/xml"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/onsi/ginkgo/v2/reporters"
)

// reports are the shards' reports in one directory, as downloads lie there, beside
// other things.
func reports(t *testing.T, of int, goes string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for i, file := range shards(t, of, goes) {
		copyTo(t, file, filepath.Join(dir, fmt.Sprint("shard ", i), "wall.json"))
	}
	for name, text := range map[string]string{"other.json": `[{"name": "no report"}]`, "empty.json": "", "notes.txt": `[{"SuitePath": "no JSON"`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// timeless is what merge prints, without times.
func timeless(text string) string {
	return regexp.MustCompile(`in [0-9.]+ s`).ReplaceAllString(text, "in X s")
}

func TestReportsOfADirectory(t *testing.T) {
	dir := reports(t, 3, badly)
	written, junit, job := filepath.Join(dir, "out", "all.json"), filepath.Join(dir, "out", "all.xml"), filepath.Join(dir, "job")
	t.Setenv("GITHUB_STEP_SUMMARY", job)
	var text strings.Builder
	// The second time what the first wrote lies in the directory, and a file is named twice.
	for _, paths := range [][]string{{dir}, {dir, dir + "/shard 0/wall.json"}} {
		text.Reset()
		ok, err := run(&text, written, junit, paths)
		if err != nil || ok {
			t.Fatalf("%v, %v", ok, err)
		}
	}
	want := `FAIL  The wall  1 failed, 23 passed, 6 skipped in X s
  The wall: skipped 6: require room: no
  The wall: FAILED: the wall stands in the rain (fixture_test.go:N): Expected <string>: badly not to equal <string>: badly
`
	got := regexp.MustCompile(`\.go:\d+`).ReplaceAllString(timeless(text.String()), ".go:N")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if summary, err := os.ReadFile(job); !strings.HasSuffix(string(summary), "### suites\n\n```text\n"+text.String()+"```\n\n") {
		t.Errorf("the job's summary is %q, %v", summary, err)
	}
	if again := one(t, written); !maps.Equal(outcomes(again), outcomes(one(t, build(t, badly, "")))) {
		t.Errorf("written: %v", outcomes(again))
	}
	var all reporters.JUnitTestSuites
	file, err := os.ReadFile(junit)
	if err == nil {
		err = xml.Unmarshal(file, &all)
	}
	if err != nil || all.Failures != 1 || len(all.TestSuites) != 1 || len(all.TestSuites[0].TestCases) != fixtureHas+2 {
		t.Errorf("%v, %+v", err, all)
	}
}

func TestShardsThatWentWell(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	ok, err := run(&text, "", "", []string{reports(t, 2, well)})
	want := "ok    The wall  24 passed, 6 skipped in X s\n  The wall: skipped 6: require room: no\n"
	if !ok || err != nil || timeless(text.String()) != want {
		t.Errorf("%v, %v:\n%s", ok, err, &text)
	}
}

// A report that was cut is an error, and what it had is missing.
func TestCutReports(t *testing.T) {
	t.Parallel()
	dir := reports(t, 2, well)
	cut := filepath.Join(dir, "shard 1", "wall.json")
	if err := os.Truncate(cut, 10_000); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	ok, err := run(&text, "", "", []string{dir})
	if ok || err == nil || !strings.Contains(err.Error(), "read "+cut+": unexpected end of JSON input: is it cut") {
		t.Errorf("%v, %v", ok, err)
	}
	if want := "no report has it run: it is in shard 2/2"; !strings.Contains(text.String(), want) {
		t.Errorf("%q is not in\n%s", want, &text)
	}
}

func TestWhatIsNoReport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "other.json")
	if err := os.WriteFile(other, []byte(`{"name": "no report"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for want, paths := range map[string][]string{
		"no report is given":       nil,
		"no report is given: name": {dir},
		"read " + other:            {other},
		"no such file":             {filepath.Join(dir, "missing")},
	} {
		var text strings.Builder
		if ok, err := run(&text, "", "", paths); ok || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", paths, ok, err)
		}
	}
}
