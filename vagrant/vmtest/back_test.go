package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type writeCloser struct{ io.Writer }

func (writeCloser) Close() error { return nil }

func TestFilesComeBackAndNoOthers(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a/deep/one": "1", "b": "2"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	var sent bytes.Buffer
	if err := sendBack(writeCloser{&sent}, []string{a, b, filepath.Join(dir, "never written")}); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(a); err != nil {
		t.Fatal(err)
	}
	if err := takeBack(bytes.NewReader(sent.Bytes()), []string{a, b}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(a, "deep", "one")); err != nil || string(text) != "1" {
		t.Errorf("came back: %q, %v", text, err)
	}
	if err := takeBack(bytes.NewReader(sent.Bytes()), []string{a}); err == nil || !strings.Contains(err.Error(), "not asked for") {
		t.Errorf("a file that nobody asked for: %v", err)
	}
	if err := takeBack(bytes.NewReader(sent.Bytes()[:700]), []string{a, b}); err != nil {
		t.Errorf("half of it: %v", err)
	}
	if within(a+"bc", []string{a}) || !within("/x/y", []string{"/"}) {
		t.Error("what is within a directory")
	}
}

func TestStatusIsTheLastWord(t *testing.T) {
	for text, want := range map[string]struct {
		up    bool
		code  int
		ended bool
	}{
		"":                {},
		"up\n":            {up: true},
		"up\nexit 3\n":    {true, 3, true},
		"up\nexit 1":      {up: true}, // cut off: 1 may be the beginning of 137
		"up\nexit \n":     {up: true},
		"up\nexit 0\n":    {true, 0, true},
		"rubbish\nup 2\n": {up: true},
	} {
		up, code, ended := parseStatus(text)
		if up != want.up || code != want.code || ended != want.ended {
			t.Errorf("%q: %v %d %v", text, up, code, ended)
		}
	}
}
