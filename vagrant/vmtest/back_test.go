package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilesComeBackAndNoOthers(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a/deep/one": "1", "b": strings.Repeat("2", 2000)} {
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
	if err := sendBack(&sent, []string{a, b, filepath.Join(dir, "never written")}); err != nil {
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
	for _, cut := range []int{0, 700, sent.Len() / 2, sent.Len()/2 + 1} {
		if err := takeBack(bytes.NewReader(sent.Bytes()[:cut]), []string{a, b}); err != nil {
			t.Errorf("%d bytes of it: %v", cut, err)
		}
	}
	if within(a+"bc", []string{a}) || !within("/x/y", []string{"/"}) {
		t.Error("what is within a directory")
	}
}
