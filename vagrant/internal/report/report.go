// Package report reads the JSON reports of Ginkgo, and tells in short what they say.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onsi/ginkgo/v2/types"
)

// Read reads the reports of a file: one, unless more suites were run.
func Read(path string) (reports []types.Report, err error) {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &reports)
	}
	return reports, err
}

// Name is a spec's full text. A node that has none, like BeforeSuite, is called by its
// type.
func Name(spec types.SpecReport) string {
	if name := spec.FullText(); name != "" {
		return name
	}
	return "[" + spec.LeafNodeType.String() + "]"
}

// Failure is a spec that failed, or why a suite did without one.
type Failure struct{ Name, Where, Why string }

// String is the failure in one line.
func (f Failure) String() string {
	text := "FAILED: " + f.Name
	if f.Where != "" {
		text += " (" + filepath.Base(f.Where) + ")"
	}
	if f.Why != "" {
		text += ": " + brief(f.Why)
	}
	return text
}

// Tally is how the specs of suites went.
type Tally struct {
	Passed, Skipped int
	Failures        []Failure
	Reasons         map[string]int // of the skipped ones
}

// Count adds up the specs of reports.
func Count(reports ...types.Report) Tally {
	t := Tally{Reasons: map[string]int{}}
	for _, r := range reports {
		for _, reason := range r.SpecialSuiteFailureReasons {
			t.Failures = append(t.Failures, Failure{Name: reason})
		}
		for _, spec := range r.SpecReports {
			t.add(spec)
		}
	}
	return t
}

func (t *Tally) add(spec types.SpecReport) {
	switch {
	case spec.Failed():
		where := spec.FailureLocation()
		t.Failures = append(t.Failures, Failure{Name(spec), fmt.Sprintf("%s:%d", where.FileName, where.LineNumber), spec.FailureMessage()})
	case spec.State == types.SpecStatePassed && spec.LeafNodeType == types.NodeTypeIt:
		t.Passed++
	case spec.State == types.SpecStateSkipped && spec.FailureMessage() != "": // without, a focus leaves it out
		t.Skipped++
		t.Reasons[spec.FailureMessage()]++
	}
}

// String is "1 failed, 3 passed, 2 skipped".
func (t Tally) String() string {
	text := fmt.Sprintf("%d passed", t.Passed)
	if len(t.Failures) > 0 {
		text = fmt.Sprintf("%d failed, %s", len(t.Failures), text)
	}
	if t.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", t.Skipped)
	}
	return text
}

// Skips are the reasons of what was skipped, a line each.
func (t Tally) Skips() (lines []string) {
	for reason, n := range t.Reasons {
		lines = append(lines, fmt.Sprintf("skipped %d: %s", n, reason))
	}
	slices.Sort(lines)
	return lines
}

// brief is the beginning of a message, in one line.
func brief(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	const most = 200
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "..."
	}
	return message
}

// Summarize appends to the summary of a job of GitHub Actions. Elsewhere it does
// nothing.
func Summarize(write func(io.Writer)) error {
	path := os.Getenv("GITHUB_STEP_SUMMARY")
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	write(file)
	return file.Close()
}
