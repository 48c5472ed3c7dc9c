package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nstest/nstest/vagrant/internal/cache"
	"github.com/nstest/nstest/vagrant/internal/host"
	"golang.org/x/sys/unix"
)

// layout changes when an image would be made another way.
const layout = "2"

// etc are the files of /etc that programs look at.
var etc = map[string]string{
	"etc/passwd":   "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
	"etc/group":    "root:x:0:\nnogroup:x:65534:\n",
	"etc/hosts":    "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 nstest\n",
	"etc/hostname": "nstest\n",
}

// baseImage is the initramfs of a kernel without a test: busybox, modules, and
// the host's nft and iptables. It is made once, until the kernel or a program is
// another.
func baseImage(version string, k kernel) (path string, err error) {
	unlock, err := cache.Lock("image-" + version)
	if err != nil {
		return "", err
	}
	defer unlock()
	dir, err := cache.Dir("image", version)
	if err != nil {
		return "", err
	}
	found, sum, err := hostPrograms()
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, filepath.Base(k.dir)+"-"+sum)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	old, err := filepath.Glob(filepath.Join(dir, "*"))
	for _, path := range old {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return "", err
	}
	file, err := os.Create(path + partSuffix)
	if err != nil {
		return "", err
	}
	defer file.Close()
	buffered := bufio.NewWriterSize(file, 1<<20)
	if err := writeBase(buffered, k, found); err != nil {
		return "", fmt.Errorf("image of kernel %s: %w", version, err)
	}
	return path, errors.Join(buffered.Flush(), file.Close(), os.Rename(path+partSuffix, path))
}

func writeBase(w io.Writer, k kernel, programs []string) error {
	a := newArchive(w)
	for _, dir := range []string{"usr/bin", "usr/sbin", "usr/lib", "usr/lib64"} {
		a.dir(dir, 0o755)
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		// Not by link, which would put it where the link leads.
		a.entry(name, unix.S_IFLNK|0o777, len("usr/"+name), strings.NewReader("usr/"+name))
	}
	for _, dir := range []string{"dev", "proc", "sys", "run", "root", "etc", "usr/lib/modules", "var/lib"} {
		a.dir(dir, 0o755)
	}
	a.dir("tmp", 0o1777)
	a.dir("var/tmp", 0o1777)
	a.link("var/run", "/run")
	for name, text := range etc {
		a.text(name, 0o644, text)
	}
	for _, name := range []string{"/etc/protocols", "/etc/services", "/etc/ethertypes"} {
		if _, err := os.Stat(name); err == nil {
			a.copy(name, name)
		}
	}
	for _, path := range programs {
		if err := putProgram(a, path); err != nil {
			return err
		}
	}
	libraries, _ := filepath.Glob(plugins)
	for _, dir := range libraries {
		a.tree(dir, dir)
	}
	if err := putModules(a, k); err != nil {
		return err
	}
	return a.end()
}

// hostPrograms are the paths of those programs that the host has, and a sum of
// what they are.
func hostPrograms() (paths []string, sum string, err error) {
	for name, in := range required {
		path, err := host.Program(name)
		if err != nil {
			return nil, "", fmt.Errorf("%w: apt-get install %s", err, in)
		}
		paths = append(paths, path)
	}
	for _, name := range programs {
		if path, err := host.Program(name); err == nil {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	hash := sha256.New()
	fmt.Fprintln(hash, layout, wantedModules)
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, "", err
		}
		fmt.Fprintln(hash, path, info.Size(), info.ModTime().UnixNano())
	}
	return paths, fmt.Sprintf("%x", hash.Sum(nil)[:6]), nil
}
