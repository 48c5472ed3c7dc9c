package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) {
	// A guest that is but tried has this binary as its init.
	if os.Getpid() == 1 {
		guest()
	}
	os.Exit(m.Run())
}

// A program stands in for QEMU, which fails and counts how often it is asked.
func TestKVMIsTriedOnceAndOnlyWhereItIs(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	asked := filepath.Join(dir, "asked")
	script := "#!/bin/sh\necho x >> " + asked + "\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "qemu-system-x86_64"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	try := func(device string, times int) {
		t.Helper()
		accel, err := accelerator(t.Context(), machine{}, device)
		text, _ := os.ReadFile(asked)
		if err != nil || accel != tcg || len(text) != 2*times {
			t.Errorf("%s: %q, %v, asked %d times", device, accel, err, len(text)/2)
		}
	}
	try(filepath.Join(dir, "no device"), 0)
	device := filepath.Join(dir, "kvm")
	if err := os.WriteFile(device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	try(device, 1)
	try(device, 1) // it is remembered
}
