package main

import (
	"strings"
	"testing"

	"github.com/nstest/nstest/vagrant/internal/report"
)

func TestCellIsOnlyOkWhenAllIs(t *testing.T) {
	for text, c := range map[string]cell{
		"3 passed":                            {Tally: tally(3, 0, 0)},
		"3 passed, 1 skipped":                 {Tally: tally(3, 1, 0)},
		"FAIL: 1 failed, 3 passed":            {Tally: tally(3, 0, 1), status: 1},
		"FAIL: 1 failed, 2 passed":            {Tally: tally(2, 0, 1)}, // whatever the status says
		"FAIL: status 1, 3 passed":            {Tally: tally(3, 0, 0), status: 1},
		"FAIL: no report, status 125":         {lost: "no report, status 125"},
		"FAIL: 2 failed, 3 passed, 1 skipped": {Tally: tally(3, 1, 2), status: 1},
	} {
		if got := c.String(); got != text {
			t.Errorf("%q, want %q", got, text)
		}
		if c.ok() != !strings.HasPrefix(text, "FAIL") {
			t.Errorf("%s: ok is %v", text, c.ok())
		}
	}
}

func tally(passed, skipped, failed int) report.Tally {
	return report.Tally{Passed: passed, Skipped: skipped, Failures: make([]report.Failure, failed)}
}
