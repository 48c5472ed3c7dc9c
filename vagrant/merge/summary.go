package main

import (
	"fmt"
	"strings"

	"github.com/nstest/nstest/vagrant/internal/report"
	"github.com/onsi/ginkgo/v2/types"
)

// summary says how each suite went, a line each, and below why specs failed or were
// skipped.
func summary(merged []types.Report) (text string, ok bool) {
	ok = len(merged) > 0
	width := 0
	for _, r := range merged {
		width = max(width, len(r.SuiteDescription))
	}
	var suites, notes strings.Builder
	for _, r := range merged {
		word, tally := "ok", report.Count(r)
		if !r.SuiteSucceeded {
			ok, word = false, "FAIL"
		}
		fmt.Fprintf(&suites, "%-4s  %-*s  %s in %.1f s\n", word, width, r.SuiteDescription, tally, r.RunTime.Seconds())
		for _, skip := range tally.Skips() {
			fmt.Fprintf(&notes, "  %s: %s\n", r.SuiteDescription, skip)
		}
		for _, f := range tally.Failures {
			fmt.Fprintf(&notes, "  %s: %s\n", r.SuiteDescription, f)
		}
		if !r.SuiteSucceeded && len(tally.Failures) == 0 {
			fmt.Fprintf(&notes, "  %s: FAILED, and no spec says why: see the shards' logs\n", r.SuiteDescription)
		}
	}
	return suites.String() + notes.String(), ok
}
