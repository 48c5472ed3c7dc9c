package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// report is what Ginkgo's -ginkgo.json-report says of a suite, as far as it is
// wanted here.
type report struct {
	SuiteSucceeded             bool
	SpecialSuiteFailureReasons []string
	RunTime                    time.Duration
	SpecReports                []spec
}

type spec struct {
	LeafNodeType            string
	LeafNodeText            string
	ContainerHierarchyTexts []string
	State                   string
	Failure                 struct {
		Message  string
		Location struct {
			FileName   string
			LineNumber int
		}
	}
}

func (s spec) name() string {
	return strings.TrimSpace(strings.Join(append(s.ContainerHierarchyTexts, s.LeafNodeText), " "))
}

// readReports are the reports of a file: one, unless the package has more suites.
func readReports(path string) (reports []report, err error) {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &reports)
	}
	return reports, err
}

// failure is a spec that failed.
type failure struct{ name, where, why string }

// cell is how a suite went on a kernel.
type cell struct {
	passed, skipped int
	failures        []failure
	reasons         map[string]int // of the skipped ones
	status          int            // the exit status
	lost            string         // why there is no report
	took            time.Duration
}

// count adds up the specs of the reports.
func count(reports []report, status int) cell {
	c := cell{status: status, reasons: map[string]int{}}
	for _, r := range reports {
		for _, reason := range r.SpecialSuiteFailureReasons {
			c.failures = append(c.failures, failure{name: reason})
		}
		for _, s := range r.SpecReports {
			switch s.State {
			case "passed":
				if s.LeafNodeType == "It" {
					c.passed++
				}
			case "skipped":
				// Without a message it is one that a focus leaves out.
				if s.Failure.Message != "" {
					c.skipped++
					c.reasons[s.Failure.Message]++
				}
			case "pending", "":
			default: // failed, panicked, timed out, interrupted, aborted
				where := s.Failure.Location
				c.failures = append(c.failures, failure{s.name(), fmt.Sprintf("%s:%d", where.FileName, where.LineNumber), s.Failure.Message})
			}
		}
	}
	return c
}

// ok holds when the status and all specs say so.
func (c cell) ok() bool { return c.status == 0 && len(c.failures) == 0 && c.lost == "" }

func (c cell) String() string {
	if c.lost != "" {
		return "FAIL: " + c.lost
	}
	text := fmt.Sprintf("%d passed", c.passed)
	if c.skipped > 0 {
		text += fmt.Sprintf(", %d skipped", c.skipped)
	}
	switch {
	case len(c.failures) > 0:
		text = fmt.Sprintf("FAIL: %d failed, %s", len(c.failures), text)
	case c.status != 0:
		// A test beside the specs, or what the tests left behind.
		text = fmt.Sprintf("FAIL: status %d, %s", c.status, text)
	}
	return text
}
