package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/vagrant/internal/report"
)

func TestTableShowsEveryCell(t *testing.T) {
	r := results{suites: []string{"wall", "moat"}, kernels: []string{"5.10", "6.1"}, cells: map[[2]string]cell{
		{"wall", "5.10"}: {Tally: report.Tally{Passed: 3, Skipped: 2, Reasons: map[string]int{"require kernel-6.1: the kernel is 5.10": 2}}},
		{"wall", "6.1"}:  {Tally: report.Tally{Passed: 4, Failures: []report.Failure{{Name: "it stands", Where: "/src/wall/wall_test.go:7", Why: "Expected\n  up"}}}, status: 1},
		{"moat", "5.10"}: {lost: "no report, status 125"},
	}}
	var text strings.Builder
	r.write(&text)
	want := strings.TrimPrefix(`
| suite | 5.10                        | 6.1                      |
|-------|-----------------------------|--------------------------|
| wall  | 3 passed, 2 skipped         | FAIL: 1 failed, 4 passed |
| moat  | FAIL: no report, status 125 | not run                  |

- 5.10 wall: skipped 2: require kernel-6.1: the kernel is 5.10
- 6.1 wall: FAILED: it stands (wall_test.go:7): Expected up
`, "\n")
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
}

func TestResultsAreOkWhenEverySuiteRanEverywhere(t *testing.T) {
	r := results{suites: []string{"wall"}, kernels: []string{"6.1"}, cells: map[[2]string]cell{}}
	if r.ok() {
		t.Error("nothing was run")
	}
	r.cells[[2]string{"wall", "6.1"}] = cell{Tally: tally(1, 0, 0)}
	if !r.ok() {
		t.Error("all passed")
	}
	if (results{suites: r.suites}).ok() || (results{kernels: r.kernels}).ok() {
		t.Error("there is nothing to run")
	}
}

func TestFlagsAreTakenFromPackages(t *testing.T) {
	for line, want := range map[string][2][]string{
		"./a ./b":     {{"./a", "./b"}, nil},
		"./a -- -x y": {{"./a"}, {"-x", "y"}},
		"./a -x y":    {{"./a"}, {"-x", "y"}},
		"./a -- --":   {{"./a"}, {"--"}},
	} {
		packages, arguments := split(strings.Fields(line))
		if !slices.Equal(packages, want[0]) || !slices.Equal(arguments, want[1]) {
			t.Errorf("%s: %q and %q", line, packages, arguments)
		}
	}
}
