package cache

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestScratchSweepsWhatAKilledRunLeft(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	alive, remove, err := Scratch()
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	dead := filepath.Join(filepath.Dir(alive), "dead") // its lock is nobody's
	if err := os.MkdirAll(filepath.Join(dead, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	next, removeNext, err := Scratch()
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{alive: true, next: true, dead: false, dead + lockSuffix: false} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", dir, err == nil, want)
		}
	}
	removeNext()
	if left, _ := filepath.Glob(next + "*"); left != nil {
		t.Errorf("left after remove: %v", left)
	}
}

func TestLockExcludesOthers(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	unlock, err := Lock("one")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := Dir("lock")
	if err != nil {
		t.Fatal(err)
	}
	if file, err := locked(filepath.Join(dir, "one"), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		_ = file.Close()
		t.Fatal("two hold the lock")
	}
	unlock()
	unlock, err = Lock("one")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestLockAfterWaitsAndSaysSo(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	first, err := LockAfter(t.Context(), "one", func() { t.Error("it waits for nobody") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	if _, err := LockAfter(ctx, "one", end); !errors.Is(err, context.Canceled) {
		t.Fatalf("the lock of somebody else, when the wait was ended: %v", err)
	}
	second, err := LockAfter(t.Context(), "one", first)
	if err != nil {
		t.Fatal(err)
	}
	second()
}

// TestLockAfterWaitsWithTheFileOpen: a wait that was ended goes on in the background
// until the lock is free, and made the lock's directory anew, also where a test or
// a user had removed it meanwhile.
func TestLockAfterWaitsWithTheFileOpen(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	unlock, err := Lock("one")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	dir, err := Dir("lock")
	if err != nil {
		t.Fatal(err)
	}
	open := 0
	ctx, end := context.WithCancel(t.Context())
	_, err = LockAfter(ctx, "one", func() {
		open = openFiles(t, filepath.Join(dir, "one"))
		end()
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the lock of somebody else, when the wait was ended: %v", err)
	}
	if open != 2 {
		t.Errorf("%d open files of the lock while one holds it and one waits, want 2", open)
	}
}

func openFiles(t *testing.T, path string) (open int) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == path {
			open++
		}
	}
	return open
}
