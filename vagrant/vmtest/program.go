package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/nstest/nstest/vagrant/internal/host"
)

// required are programs without which no guest comes up, and their packages.
// Busybox has a modprobe too, but that does not wait for a module which another
// one is loading, and a kernel that asks for a kind of link twice is told that
// there is none.
var required = map[string]string{"busybox": "busybox-static", "modprobe": "kmod"}

// programs are the host's that tests use and busybox has not.
var programs = []string{
	"nft",
	"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore",
	"iptables-nft", "iptables-nft-save", "iptables-nft-restore", "ip6tables-nft", "ip6tables-nft-save", "ip6tables-nft-restore",
	"iptables-legacy", "iptables-legacy-save", "iptables-legacy-restore", "ip6tables-legacy", "ip6tables-legacy-save", "ip6tables-legacy-restore",
	"arptables", "ebtables", "ipset",
}

// plugins are directories of libraries that programs load by name.
const plugins = "/usr/lib/*/xtables"

// putProgram puts a program of the host in under its name, with the files that
// its links lead to and its libraries.
func putProgram(a *archive, path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	if merged(path) != merged(real) {
		a.link(path, real)
	}
	return putBinary(a, real, real)
}

// putBinary puts a binary in, and the libraries that it wants where it wants them.
func putBinary(a *archive, name, from string) error {
	if a.has(name) {
		return a.err
	}
	a.copy(name, from)
	dynamic, err := isDynamic(from)
	if err != nil || !dynamic {
		return errors.Join(err, a.err)
	}
	text, err := host.Output("ldd", from)
	if err != nil {
		return err
	}
	libraries, err := librariesOf(text)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	for _, library := range libraries {
		a.copy(library, library) // what a link leads to, under the link's name
	}
	return a.err
}

func isDynamic(path string) (bool, error) {
	file, err := elf.Open(path)
	var other *elf.FormatError
	if errors.As(err, &other) || errors.Is(err, io.EOF) {
		return false, nil // a script
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	for _, header := range file.Progs {
		if header.Type == elf.PT_INTERP {
			return true, nil
		}
	}
	return false, nil
}

// librariesOf are the files in what ldd(1) prints.
func librariesOf(text string) (files []string, err error) {
	for line := range strings.Lines(text) {
		if name, missing := strings.CutSuffix(strings.TrimSpace(line), " => not found"); missing {
			return nil, fmt.Errorf("library %s: %w", name, os.ErrNotExist)
		}
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") {
				files = append(files, word)
			}
		}
	}
	return files, nil
}
