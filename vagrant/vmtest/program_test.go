package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestLibrariesOfLdd(t *testing.T) {
	got, err := librariesOf("\tlinux-vdso.so.1 (0x00007f1d)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x0000)\n\t/lib64/ld-linux-x86-64.so.2 (0x0)\n")
	if want := []string{"/lib/x/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := librariesOf("\tlibx.so => not found\n"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a library that is not there: %v", err)
	}
}

func TestProgramComesWithLinksAndLibraries(t *testing.T) {
	link := filepath.Join(t.TempDir(), "shell")
	if err := os.Symlink("/bin/sh", link); err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(link)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	a := newArchive(&buf)
	if err := putProgram(a, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, real} {
		if !a.has(path) {
			t.Errorf("%s is not in", path)
		}
	}
	if dynamic, err := isDynamic(real); err != nil || dynamic && !bytes.Contains(buf.Bytes(), []byte("libc.so.6")) {
		t.Errorf("dynamic %v, %v, and no libc in", dynamic, err)
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if dynamic, err := isDynamic(script); err != nil || dynamic {
		t.Errorf("a script is dynamic: %v, %v", dynamic, err)
	}
}
