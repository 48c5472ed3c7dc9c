package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nstest/nstest/probes/policy"
)

// policiesDir is where a suite leaves, in its NSTEST_ARTIFACTS, what policy.Cover reported of its
// rulesets: one file of JSON each.
const policiesDir = "policies"

// policies says what each kernel does otherwise than the one before it with the packets of the
// rulesets that a suite tried on both. Nothing fails by it: kernels may differ, and the rulesets
// are the same.
func (m matrix) policies(suites []string) (lines []string, err error) {
	for _, suite := range suites {
		var before []named // of the kernel before, at first of none
		for i, kernel := range m.kernels {
			after, err := readPolicies(filepath.Join(m.reports, kernel, suite, policiesDir))
			if err != nil {
				return lines, fmt.Errorf("%s on %s: %w", suite, kernel, err)
			}
			if i > 0 {
				lines = append(lines, comparePolicies(fmt.Sprintf("%s on %s and %s", suite, m.kernels[i-1], kernel), before, after)...)
			}
			before = after
		}
	}
	return lines, nil
}

// named is a report of policy.Cover by its ruleset's name.
type named struct {
	name   string
	report policy.Report
}

// readPolicies reads what a suite has left, in the order of the names; a suite that left nothing has none.
func readPolicies(dir string) (all []named, err error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			return nil, err
		}
		n := named{name: strings.TrimSuffix(file.Name(), ".json")}
		if err := json.Unmarshal(text, &n.report); err != nil {
			return nil, fmt.Errorf("report of %s: %w", n.name, err)
		}
		all = append(all, n)
	}
	return all, nil
}

// comparePolicies compares the rulesets that two kernels have in common.
func comparePolicies(what string, before, after []named) (lines []string) {
	earlier := map[string]policy.Report{}
	for _, n := range before {
		earlier[n.name] = n.report
	}
	for _, n := range after {
		old, both := earlier[n.name]
		if !both {
			continue
		}
		d := policy.CompareReports(old, n.report)
		lines = append(lines, fmt.Sprintf("%s: %s, %d and %d rules and policies: %s",
			what, n.name, len(old.Rules), len(n.report.Rules), strings.ReplaceAll(strings.TrimSpace(d.String()), "\n", "\n  ")))
	}
	return lines
}
