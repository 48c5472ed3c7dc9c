package main

import (
	"strings"
	"testing"
)

func TestAllThatIsMissingIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := programs()
	if err == nil {
		t.Fatal("nothing is said to be missing")
	}
	for _, want := range []string{"apt-get install", "mmdebstrap", "qemu-utils", "vagrant", "mtools"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not name %s: %v", want, err)
		}
	}
}
