package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// The fixture is a suite that this binary runs in a process of its own, whole or in
// shards, so that the reports are Ginkgo's. The variable says how it is to go.
const fixtureVar = "NSTEST_MERGE_FIXTURE"

const (
	well       = "well"
	badly      = "badly"      // a spec fails
	notAtAll   = "not at all" // BeforeSuite fails
	fixtureHas = 33           // specs
)

// scratch is where the reports lie.
var scratch string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "merge")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	scratch = dir
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

func TestFixture(t *testing.T) {
	if goes := os.Getenv(fixtureVar); goes != "" {
		RegisterFailHandler(Fail)
		wall(goes)
		RunSpecs(t, "The wall")
	}
}

func wall(goes string) {
	BeforeSuite(func() { Expect(goes).NotTo(Equal(notAtAll), "no bricks") })
	BeforeEach(func() {
		if other := harness.OtherShard(CurrentSpecReport().FullText()); other != "" {
			Skip(other)
		}
	})
	Describe("the wall", func() {
		for i := range 20 {
			It(fmt.Sprint("has stone ", i), func() { AddReportEntry("stone", i) })
		}
		for range 2 {
			It("has a name that another spec has", func() {})
		}
		for i := range 6 {
			It(fmt.Sprint("has no room for stone ", i), func() { Skip("require room: no") })
		}
		for i := range 3 {
			PIt(fmt.Sprint("will have window ", i), func() {})
		}
		It("stands in the rain", func() { Expect(goes).NotTo(Equal(badly)) })
		It("stands in the snow", Label("winter"), func() {})
	})
	ReportAfterSuite("the wall's report", func(Report) {})
}

// built are the reports by how they came about: tests share them, and change none.
var built sync.Map

// build runs the fixture in that shard, "" for all of it, and is the report's file. The
// suite lies elsewhere each time, as on another machine.
func build(t *testing.T, goes, shard string, flags ...string) string {
	t.Helper()
	once, _ := built.LoadOrStore(fmt.Sprintf("%q", append(flags, goes, shard)), sync.OnceValues(func() (string, error) {
		return start(goes, shard, flags)
	}))
	file, err := once.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func start(goes, shard string, flags []string) (file string, err error) {
	above, err := os.MkdirTemp(scratch, "")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(above, "wall")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	file = filepath.Join(dir, "report.json")
	cmd := exec.Command("/proc/self/exe", append([]string{"-test.run=^TestFixture$", "-ginkgo.json-report=" + file}, flags...)...)
	cmd.Dir = dir
	// The race detector waits a second at its end unless told.
	cmd.Env = append(os.Environ(), fixtureVar+"="+goes, "NSTEST_SHARD="+shard, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	out, err := cmd.CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		return "", err
	}
	if _, err := os.Stat(file); err != nil {
		return "", fmt.Errorf("%w in:\n%s", err, out)
	}
	return file, nil
}

// shards are the reports of all shards.
func shards(t *testing.T, of int, goes string, flags ...string) (files []string) {
	t.Helper()
	for part := 1; part <= of; part++ {
		files = append(files, build(t, goes, fmt.Sprintf("%d/%d", part, of), flags...))
	}
	return files
}
