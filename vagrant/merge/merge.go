package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onsi/ginkgo/v2/types"
)

// suite is what is the same of a suite on every machine, where its path is not.
type suite struct{ dir, description string }

// merge makes one report of each suite's, in the order they are met.
func merge(sources []source) []types.Report {
	var order []suite
	bySuite := map[suite][]source{}
	for _, s := range sources {
		key := suite{filepath.Base(s.SuitePath), s.SuiteDescription}
		if bySuite[key] == nil {
			order = append(order, key)
		}
		bySuite[key] = append(bySuite[key], s)
	}
	merged := []types.Report{}
	for _, key := range order {
		merged = append(merged, mergeSuite(bySuite[key]))
	}
	return merged
}

// mergeSuite makes one report of a suite's reports, and of what is wrong with them.
func mergeSuite(sources []source) types.Report {
	merged := sources[0].Report
	specs := newSpecs()
	specs.add(sources[0])
	// The machine time: shards may run side by side, one after the other, or tomorrow.
	took := merged.RunTime
	for _, s := range sources[1:] {
		merged = merged.Add(s.Report)
		took += s.RunTime
		specs.add(s)
	}
	merged.RunTime = took
	var wrong []string
	merged.SpecReports, wrong = specs.merged()
	merged.SpecialSuiteFailureReasons = append(merged.SpecialSuiteFailureReasons, wrong...)
	merged.SuiteSucceeded = merged.SuiteSucceeded && len(wrong) == 0 &&
		!slices.ContainsFunc(merged.SpecReports, types.SpecReport.Failed)
	return merged
}

// overlap is what is wrong when the same specs were run in several files.
func overlap(files string, names []string) string {
	return fmt.Sprintf("run more than once, in %s: %q: give each shard an NSTEST_SHARD of its own, and its report once", files, names)
}

// mixture is what is wrong when reports speak of several numbers of shards.
func mixture(splits []string) string {
	return fmt.Sprintf("the runs are of %s parts: give all the same number behind the slash of NSTEST_SHARD", strings.Join(splits, " and of "))
}
