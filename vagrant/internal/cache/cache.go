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

// LockAfter is Lock that says when it has to wait, and waits no longer than the
// context. Nothing is made in the cache any more once it has returned: who still
// waits then has the lock's file open.
func LockAfter(ctx context.Context, name string, waiting func()) (unlock func(), err error) {
	dir, err := Dir("lock")
	if err != nil {
		return nil, err
	}
	file, err := opened(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	closed := func() { _ = file.Close() }
	if err = flock(file, unix.LOCK_EX|unix.LOCK_NB); err == nil {
		return closed, nil
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		closed()
		return nil, err
	}
	waiting()
	come := make(chan error)
	go func() {
		err := flock(file, unix.LOCK_EX)
		select {
		case come <- err:
		case <-ctx.Done(): // nobody wants it any more
			closed()
		}
	}()
	select {
	case err := <-come:
		if err != nil {
			closed()
			return nil, err
		}
		return closed, nil
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
	file, err := opened(path)
	if err != nil {
		return nil, err
	}
	if err := flock(file, how); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

func opened(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
}

func flock(file *os.File, how int) error {
	for {
		err := unix.Flock(int(file.Fd()), how)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("lock %s: %w", file.Name(), err)
		}
		return nil
	}
}
