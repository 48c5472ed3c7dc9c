package main

import (
	"slices"
	"testing"
	"time"
)

func TestJobOfWhatGoTestPasses(t *testing.T) {
	args := []string{"-test.paniconexit0", "-test.timeout=10m0s", "-test.testlogfile=/work/b1/testlog.txt",
		"-test.coverprofile=/work/b1/_cover_.out", "-test.gocoverdir=/work/b1/gocoverdir", "-test.cpuprofile=cpu.out",
		"-test.outputdir=/here", "-test.artifacts=true", "-ginkgo.junit-report=j.xml", "-test.run=A=B"}
	j := newJob("/work/b1/x.test", args, "/src/pkg", []string{
		"HOME=/home/user", "NSTEST_ARTIFACTS=out", "NSTEST_MISSING=", "GOCOVERDIR=/cover", "GORACE=halt_on_error=1", "GOFLAGS=-x"})
	for name, pair := range map[string][2][]string{
		"arguments": {j.Args, append(args[:2:2], args[3:]...)},
		"back": {j.Back, {"/work/b1/_cover_.out", "/work/b1/gocoverdir", "/here/cpu.out", "/here/_artifacts", "/src/pkg/j.xml",
			"/src/pkg/out", "/cover"}},
		"environment": {j.Env, {"NSTEST_ARTIFACTS=out", "NSTEST_MISSING=", "GOCOVERDIR=/cover", "GORACE=halt_on_error=1"}},
		"directories": {j.Make, {"/here", "/work/b1", "/work/b1/gocoverdir", "/here", "/src/pkg", "/src/pkg/out", "/cover"}},
	} {
		if !slices.Equal(pair[0], pair[1]) {
			t.Errorf("%s:\n%q, want\n%q", name, pair[0], pair[1])
		}
	}
	if j.Binary != "/work/b1/x.test" || j.Dir != "/src/pkg" {
		t.Errorf("%q in %q", j.Binary, j.Dir)
	}
}

func TestLimitIsBeforeGoTestLosesPatience(t *testing.T) {
	for args, want := range map[string]time.Duration{
		"-test.timeout=10m0s": 10*time.Minute + 45*time.Second,
		"-test.timeout=0s":    24 * time.Hour,
		"-test.v":             24 * time.Hour,
	} {
		if got := limitOf(timeout([]string{args}), 3*time.Minute); got != want {
			t.Errorf("%s: %v, want %v", args, got, want)
		}
	}
}
