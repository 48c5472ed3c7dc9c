package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/vagrant/internal/report"
	"github.com/onsi/ginkgo/v2/types"
)

// one is the one report that the files merge into.
func one(t *testing.T, files ...string) types.Report {
	t.Helper()
	sources, err := read(files, "")
	if err != nil {
		t.Fatal(err)
	}
	merged := merge(sources)
	if len(merged) != 1 {
		t.Fatalf("%d reports of one suite", len(merged))
	}
	return merged[0]
}

// outcomes are how often each node of a report went in which way.
func outcomes(r types.Report) map[string]int {
	all := map[string]int{}
	for _, spec := range r.SpecReports {
		all[fmt.Sprintf("%s %s: %s %s", spec.LeafNodeType, report.Name(spec), spec.State, spec.FailureMessage())]++
	}
	return all
}

func TestMergedShardsAreTheWholeRun(t *testing.T) {
	for _, row := range []struct {
		goes  string
		flags []string
		says  string
	}{
		{well, nil, "24 passed, 6 skipped"},
		{badly, nil, "1 failed, 23 passed, 6 skipped"},
		{well, []string{"-ginkgo.randomize-all", "-ginkgo.seed=7"}, "24 passed, 6 skipped"},
		{well, []string{"-ginkgo.focus=stone 1"}, "11 passed, 1 skipped"},
		{well, []string{"-ginkgo.label-filter=winter"}, "1 passed"},
		{badly, []string{"-ginkgo.skip=rain"}, "23 passed, 6 skipped"},
		{well, []string{"-ginkgo.fail-on-pending"}, "1 failed, 24 passed, 6 skipped"},
	} {
		t.Run(row.goes+strings.Join(row.flags, ""), func(t *testing.T) {
			t.Parallel()
			whole := one(t, build(t, row.goes, "", row.flags...))
			merged := one(t, shards(t, 3, row.goes, row.flags...)...)
			if got := report.Count(merged).String(); got != row.says {
				t.Errorf("%s, want %s", got, row.says)
			}
			if want := outcomes(whole); !maps.Equal(outcomes(merged), want) {
				t.Errorf("got %v\nwant %v", outcomes(merged), want)
			}
			if merged.SuiteSucceeded != whole.SuiteSucceeded || merged.PreRunStats != whole.PreRunStats || merged.PreRunStats.TotalSpecs != fixtureHas {
				t.Errorf("got %v %+v, want %v %+v", merged.SuiteSucceeded, merged.PreRunStats, whole.SuiteSucceeded, whole.PreRunStats)
			}
		})
	}
}

func TestTimesAreAddedUp(t *testing.T) {
	t.Parallel()
	files := shards(t, 2, well)
	first, second, merged := one(t, files[0]), one(t, files[1]), one(t, files...)
	if merged.RunTime != first.RunTime+second.RunTime {
		t.Errorf("%v and %v are %v", first.RunTime, second.RunTime, merged.RunTime)
	}
	if merged.StartTime != first.StartTime || merged.EndTime != second.EndTime {
		t.Errorf("from %v to %v", merged.StartTime, merged.EndTime)
	}
}

// lost are the specs that failed because no shard ran them.
func lost(r types.Report, shard string) (names []string) {
	for _, spec := range r.SpecReports {
		if spec.Failed() && strings.Contains(spec.FailureMessage(), "no report has it run: it is in shard "+shard) {
			names = append(names, spec.FullText())
		}
	}
	slices.Sort(names)
	return names
}

// ofShard are the specs that a shard's report has in these states.
func ofShard(t *testing.T, file string, states types.SpecState) (names []string) {
	t.Helper()
	sources, err := read([]string{file}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range sources[0].SpecReports.WithLeafNodeType(types.NodeTypeIt).WithState(states) {
		if _, of := otherShard(spec); of == "" {
			names = append(names, spec.FullText())
		}
	}
	if names == nil {
		t.Fatalf("there is nothing in the shard of %s", file)
	}
	return names
}

func TestWhatNoShardRanHasFailed(t *testing.T) {
	t.Parallel()
	files := shards(t, 3, well)
	want := slices.Sorted(slices.Values(ofShard(t, files[1], types.SpecStatePassed|types.SpecStateSkipped)))
	for name, files := range map[string][]string{
		"the report is missing": {files[0], files[2]},
		"the suite failed":      {files[0], build(t, notAtAll, "2/3"), files[2]},
		"that one first":        {build(t, notAtAll, "2/3"), files[0], files[2]},
		"other specs in focus":  {files[0], build(t, well, "2/3", "-ginkgo.focus=nothing"), files[2]},
	} {
		merged := one(t, files...)
		if got := lost(merged, "2/3"); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if merged.SuiteSucceeded {
			t.Errorf("%s, and the suite succeeds", name)
		}
		if other := append(lost(merged, "1/3"), lost(merged, "3/3")...); other != nil {
			t.Errorf("%s: others are lost: %q", name, other)
		}
	}
}

// What every shard has, like BeforeSuite, is there once, and each time that it failed.
func TestNodesOfAllShards(t *testing.T) {
	t.Parallel()
	files := shards(t, 3, well)
	for failed, files := range map[int][]string{
		0: files,
		1: {files[0], build(t, notAtAll, "2/3"), files[2]},
		2: {build(t, notAtAll, "1/3"), build(t, notAtAll, "2/3"), files[2]},
	} {
		count := map[string]int{}
		for _, spec := range one(t, files...).SpecReports.WithLeafNodeType(types.NodeTypeBeforeSuite | types.NodeTypeReportAfterSuite) {
			count[spec.LeafNodeType.String()+" "+spec.State.String()]++
		}
		want := map[string]int{"ReportAfterSuite passed": 1, "BeforeSuite failed": failed}
		if failed == 0 {
			want = map[string]int{"ReportAfterSuite passed": 1, "BeforeSuite passed": 1}
		}
		if !maps.Equal(count, want) {
			t.Errorf("%v, want %v", count, want)
		}
	}
}

func TestWhatTwoShardsRanHasFailed(t *testing.T) {
	t.Parallel()
	files := shards(t, 3, well)
	copied := build(t, badly, "2/3")
	twice := one(t, append(files, copied)...)
	want := fmt.Sprintf("run more than once, in %s and %s: %q: give each shard an NSTEST_SHARD of its own, and its report once",
		files[1], copied, ofShard(t, files[1], types.SpecStatePassed))
	if got := twice.SpecialSuiteFailureReasons; !slices.Equal(got, []string{want}) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	mixed := one(t, append(shards(t, 2, well), files...)...)
	if want := "the runs are of 2 and of 3 parts: give all"; !strings.Contains(strings.Join(mixed.SpecialSuiteFailureReasons, "\n"), want) {
		t.Errorf("not told: %q in %q", want, mixed.SpecialSuiteFailureReasons)
	}
	if twice.SuiteSucceeded || mixed.SuiteSucceeded {
		t.Error("the suite succeeds")
	}
}

// Of two reports of a spec the one that failed counts, whichever is first.
func TestNoFailureIsLost(t *testing.T) {
	t.Parallel()
	good, bad := build(t, well, ""), build(t, badly, "")
	for _, files := range [][]string{{good, bad}, {bad, good}} {
		merged := one(t, files...)
		if !slices.ContainsFunc(merged.SpecReports, func(spec types.SpecReport) bool {
			return spec.Failed() && spec.FullText() == "the wall stands in the rain"
		}) {
			t.Error("it is lost in", files)
		}
	}
}

func TestSuitesAreToldApart(t *testing.T) {
	t.Parallel()
	file := build(t, well, "")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var sources []source
	file = filepath.Join(t.TempDir(), "report.json")
	for _, change := range [][2]string{{"", ""}, {`"SuiteDescription": "The wall"`, `"SuiteDescription": "The moat"`}, {"/wall\"", "/tower\""}} {
		if err := os.WriteFile(file, []byte(strings.Replace(string(text), change[0], change[1], 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		more, err := read([]string{file}, "")
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, more...)
	}
	if merged := merge(sources); len(merged) != 3 {
		t.Errorf("%d suites, want 3", len(merged))
	}
}
