package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// archive writes an initramfs: a cpio archive of the kernel's "newc" kind
// (Documentation/driver-api/early-userspace/buffer-format.rst). Everything in it
// is root's. Parents are made, and names are those of a merged /usr.
type archive struct {
	w     io.Writer
	known map[string]bool
	ino   int
	err   error
}

func newArchive(w io.Writer) *archive {
	return &archive{w: w, known: map[string]bool{"": true, ".": true}}
}

// merged is where a path really is: /lib is a link to /usr/lib.
func merged(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	switch top, _, _ := strings.Cut(name, "/"); top {
	case "bin", "sbin", "lib", "lib64":
		return "usr/" + name
	}
	return name
}

// has says whether the archive has that file already.
func (a *archive) has(name string) bool { return a.known[merged(name)] }

func (a *archive) dir(name string, perm uint32) {
	name = merged(name)
	if a.known[name] {
		return
	}
	a.parents(name)
	a.entry(name, unix.S_IFDIR|perm, 0, nil)
}

func (a *archive) parents(name string) {
	parent, perm := path.Dir(name), uint32(0o755)
	if parent == "tmp" || parent == "var/tmp" {
		perm = 0o1777
	}
	a.dir(parent, perm)
}

func (a *archive) link(name, target string) {
	name = merged(name)
	a.parents(name)
	a.entry(name, unix.S_IFLNK|0o777, len(target), strings.NewReader(target))
}

func (a *archive) text(name string, perm uint32, text string) {
	name = merged(name)
	a.parents(name)
	a.entry(name, unix.S_IFREG|perm, len(text), strings.NewReader(text))
}

// copy puts a file of the host in, with the permissions that it has there.
func (a *archive) copy(name, from string) {
	if a.has(name) {
		return
	}
	file, err := os.Open(from)
	if err != nil {
		a.fail(err)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		a.fail(err)
		return
	}
	name = merged(name)
	a.parents(name)
	a.entry(name, unix.S_IFREG|uint32(info.Mode().Perm()), int(info.Size()), file)
}

// tree puts a directory in with all files below.
func (a *archive) tree(name, from string) {
	files := os.DirFS(from)
	a.fail(fs.WalkDir(files, ".", func(sub string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			a.dir(path.Join(name, sub), 0o755)
		case entry.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path.Join(from, sub))
			if err != nil {
				return err
			}
			a.link(path.Join(name, sub), target)
		case entry.Type().IsRegular():
			a.copy(path.Join(name, sub), path.Join(from, sub))
		}
		return a.err
	}))
}

// end writes the trailer, and the zeros that let another archive follow.
func (a *archive) end() error {
	a.ino = -1
	a.entry("TRAILER!!!", 0, 0, nil)
	return a.err
}

func (a *archive) entry(name string, mode uint32, size int, content io.Reader) {
	if a.err != nil || a.known[name] {
		return
	}
	a.known[name] = true
	a.ino++
	nlink := 1
	if mode&unix.S_IFMT == unix.S_IFDIR {
		nlink = 2
	}
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.ino, mode, 0, 0, nlink, 0, size, 0, 0, 0, 0, len(name)+1, 0, name)
	a.raw(header + padding(len(header)))
	if content != nil && a.err == nil {
		copied, err := io.Copy(a.w, io.LimitReader(content, int64(size)))
		if err == nil && copied != int64(size) {
			err = fmt.Errorf("%s: %w", name, io.ErrUnexpectedEOF)
		}
		a.fail(err)
		a.raw(padding(size))
	}
}

func (a *archive) raw(text string) {
	if a.err == nil {
		_, a.err = io.WriteString(a.w, text)
	}
}

// padding is what is missing to a multiple of four.
func padding(size int) string { return "\x00\x00\x00"[:-size&3] }

func (a *archive) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}
