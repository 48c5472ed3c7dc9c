// Merge makes one report of the reports of all shards (NSTEST_SHARD), as if the
// suites had run in one place:
//
//	go run ./vagrant/merge -json all.json -junit all.xml FILE-OR-DIR...
//
// It reads the files, and of the directories every .json file that is Ginkgo's
// (--json-report). Of each spec it takes the report of the shard that ran it. A spec
// that none ran has failed, and so has a suite with a spec that two ran. It prints
// how each suite went, also to the summary of a job of GitHub Actions, and returns 1
// when anything failed that the reports tell. What fails beside the specs, like
// something left behind, only the shard's own status tells.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/nstest/nstest/vagrant/internal/report"
	"github.com/onsi/ginkgo/v2/reporters"
	"github.com/onsi/ginkgo/v2/types"
)

func main() {
	jsonFile := flag.String("json", "", "write the merged report to this `file`, as Ginkgo's JSON")
	junitFile := flag.String("junit", "", "write the merged report to this `file`, as JUnit's XML")
	flag.Parse()
	ok, err := run(os.Stdout, *jsonFile, *junitFile, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "merge:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run merges what is read of the paths. What cannot be read is an error, and the
// rest is merged all the same.
func run(w io.Writer, jsonFile, junitFile string, paths []string) (ok bool, err error) {
	sources, err := read(paths, jsonFile)
	if err == nil && len(sources) == 0 {
		return false, errors.New("no report is given: name the files that --json-report wrote, or their directory")
	}
	merged := merge(sources)
	text, ok := summary(merged)
	fmt.Fprint(w, text)
	if jsonFile != "" {
		err = errors.Join(err, writeJSON(merged, jsonFile))
	}
	if junitFile != "" {
		err = errors.Join(err, writeJUnit(merged, junitFile))
	}
	return ok, errors.Join(err, report.Summarize(func(w io.Writer) {
		fmt.Fprintf(w, "### suites\n\n```text\n%s```\n\n", text)
	}))
}

func writeJSON(merged []types.Report, path string) error {
	text, err := json.MarshalIndent(merged, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, append(text, '\n'), 0o644))
}

// writeJUnit puts Ginkgo's files of one suite each together.
func writeJUnit(merged []types.Report, path string) error {
	dir, err := os.MkdirTemp("", "merge")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var parts []string
	for i, r := range merged {
		part := filepath.Join(dir, fmt.Sprint(i))
		if err := reporters.GenerateJUnitReport(r, part); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		parts = append(parts, part)
	}
	lost, err := reporters.MergeAndCleanupJUnitReports(parts, path)
	for _, message := range lost {
		err = errors.Join(err, fmt.Errorf("write %s: %s", path, message))
	}
	return err
}
