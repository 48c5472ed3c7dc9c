package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestArchiveIsReadByCpio(t *testing.T) {
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "odd"), []byte("12345"), 0o755); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	a := newArchive(&buf)
	a.text("etc/hosts", 0o644, "localhost\n")
	a.link("usr/bin/sh", "busybox")
	a.copy("/bin/odd", filepath.Join(dir, "odd"))
	a.copy("bin/odd", "/nonexistent") // it is there already
	a.tree("data", dir)
	a.text("tmp/x/y", 0o600, "")
	if err := a.end(); err != nil {
		t.Fatal(err)
	}
	if buf.Len()%4 != 0 {
		t.Errorf("an archive behind it would begin at %d", buf.Len())
	}
	list := exec.Command(cpio, "-itv", "--quiet", "-n")
	list.Stdin = &buf
	out, err := list.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var got []string
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		got = append(got, words[0]+" "+words[4]+" "+strings.Join(words[8:], " "))
	}
	want := []string{
		"drwxr-xr-x 0 etc", "-rw-r--r-- 10 etc/hosts",
		"drwxr-xr-x 0 usr", "drwxr-xr-x 0 usr/bin", "lrwxrwxrwx 7 usr/bin/sh -> busybox", "-rwxr-xr-x 5 usr/bin/odd",
		"drwxr-xr-x 0 data", "-rwxr-xr-x 5 data/odd",
		"drwxrwxrwt 0 tmp", "drwxr-xr-x 0 tmp/x", "-rw------- 0 tmp/x/y",
	}
	if !slices.Equal(got, want) {
		t.Errorf("cpio lists\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestArchiveFailsForAFileThatIsNotThere(t *testing.T) {
	a := newArchive(&bytes.Buffer{})
	a.copy("x", "/nonexistent")
	if err := a.end(); !os.IsNotExist(err) {
		t.Errorf("end: %v", err)
	}
}
