package main

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

// The report is one that Ginkgo wrote, cut to what is read of it.
func TestCountOfAReport(t *testing.T) {
	reports, err := readReports(filepath.Join("testdata", "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	c := count(reports, 1)
	if c.passed != 2 || c.skipped != 2 || len(c.failures) != 2 {
		t.Fatalf("%+v", c)
	}
	if want := map[string]int{"require netem: no": 2}; !maps.Equal(c.reasons, want) {
		t.Errorf("skipped for %v", c.reasons)
	}
	if f := c.failures[0]; f != (failure{"the wall stands in the rain", "/src/wall_test.go:7", "Expected\n  up"}) {
		t.Errorf("%+v", f)
	}
	if f := c.failures[1]; f.name != "the wall" || f.why != "no bricks" {
		t.Errorf("a node that is no spec: %+v", f)
	}
}

func TestCellIsOnlyOkWhenAllIs(t *testing.T) {
	for text, c := range map[string]cell{
		"3 passed":                            {passed: 3},
		"3 passed, 1 skipped":                 {passed: 3, skipped: 1},
		"FAIL: 1 failed, 3 passed":            {passed: 3, status: 1, failures: []failure{{}}},
		"FAIL: 1 failed, 2 passed":            {passed: 2, failures: []failure{{}}}, // whatever the status says
		"FAIL: status 1, 3 passed":            {passed: 3, status: 1},
		"FAIL: no report, status 125":         {lost: "no report, status 125"},
		"FAIL: 2 failed, 3 passed, 1 skipped": {passed: 3, skipped: 1, status: 1, failures: []failure{{}, {}}},
	} {
		if got := c.String(); got != text {
			t.Errorf("%q, want %q", got, text)
		}
		if c.ok() != !strings.HasPrefix(text, "FAIL") {
			t.Errorf("%s: ok is %v", text, c.ok())
		}
	}
}
