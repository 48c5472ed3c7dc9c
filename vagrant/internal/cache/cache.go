// Package cache is the one directory that the VM tier writes to.
package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Dir is a directory of the cache by its name, made if need be.
func Dir(names ...string) (string, error) {
	user, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(append([]string{user, "nstest"}, names...)...)
	return dir, os.MkdirAll(dir, 0o755)
}

// Lock waits until no other process holds the lock of that name. The kernel takes
// it back from a process that ends, however it ends.
func Lock(name string) (unlock func(), err error) {
	dir, err := Dir("lock")
	if err != nil {
		return nil, err
	}
	file, err := locked(filepath.Join(dir, name), unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	return func() { _ = file.Close() }, nil
}

// LockAfter is Lock that says when it has to wait, and waits no longer than the context.
func LockAfter(ctx context.Context, name string, waiting func()) (unlock func(), err error) {
	dir, err := Dir("lock")
	if err != nil {
		return nil, err
	}
	file, err := locked(filepath.Join(dir, name), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return func() { _ = file.Close() }, nil
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return nil, err
	}
	waiting()
	type turn struct {
		unlock func()
		err    error
	}
	come := make(chan turn)
	go func() {
		unlock, err := Lock(name)
		select {
		case come <- turn{unlock, err}:
		case <-ctx.Done(): // nobody wants it any more
			if err == nil {
				unlock()
			}
		}
	}()
	select {
	case t := <-come:
		return t.unlock, t.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Scratch is a new directory for one run, which remove takes away again. What a
// run that was killed has left there goes first.
func Scratch() (dir string, remove func(), err error) {
	unlock, err := Lock("scratch") // nobody sweeps between a directory and its lock
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	parent, err := Dir("run")
	if err != nil {
		return "", nil, err
	}
	if err := sweep(parent); err != nil {
		return "", nil, err
	}
	if dir, err = os.MkdirTemp(parent, ""); err != nil {
		return "", nil, err
	}
	file, err := locked(dir+lockSuffix, unix.LOCK_EX)
	if err != nil {
		return "", nil, err
	}
	return dir, func() {
		_ = os.RemoveAll(dir)
		_ = os.Remove(dir + lockSuffix)
		_ = file.Close()
	}, nil
}

const lockSuffix = ".lock"

// sweep removes the directories whose lock nobody holds.
func sweep(parent string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		dir := filepath.Join(parent, entry.Name())
		file, err := locked(dir+lockSuffix, unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return err
		}
		err = errors.Join(os.RemoveAll(dir), os.Remove(dir+lockSuffix), file.Close())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func locked(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(file.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return file, nil
}
