package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// A run beside another took the other's reports away, and its log with them.
func TestARunLeavesTheReportsOfAnotherThatIsUnderWay(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("NSTEST_ARTIFACTS", "")
	dir, free, err := reportDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "log.txt")
	if err := os.WriteFile(log, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	over, end := context.WithCancel(t.Context())
	end()
	if _, _, err := reportDir(over); err == nil {
		t.Fatal("two runs have one directory")
	}
	if _, err := os.Stat(log); err != nil {
		t.Fatal("what the first run has reported is gone:", err)
	}
	free()
	if _, free, err = reportDir(t.Context()); err != nil {
		t.Fatal(err)
	}
	free()
	if _, err := os.Stat(log); err == nil {
		t.Fatal("the last run's reports are still there")
	}
}
