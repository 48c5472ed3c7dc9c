package hygiene_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// machine is what labs could leave on the machine or change there, a line each:
// its mounts, what has a name, and its own network.
func machine() ([]string, error) {
	all, err := network()
	if err != nil {
		return nil, err
	}
	rest, err := surroundings()
	return append(all, rest...), err
}

// surroundings are mounts and names. What another program does with either in the
// meantime would be found as well.
func surroundings() ([]string, error) {
	lines, err := mounts()
	if err != nil {
		return nil, err
	}
	names, err := files("/run/netns") // where ip-netns(8) keeps them
	return append(lines, names...), err
}

// files are those of a directory.
func files(dir string) (lines []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, entry := range entries {
		lines = append(lines, "file "+filepath.Join(dir, entry.Name()))
	}
	return lines, err
}

// mounts are those that this process sees.
func mounts() (lines []string, err error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(text)) {
		lines = append(lines, "mount "+strings.TrimSpace(line))
	}
	return lines, err
}

// fickle are parameters that change by themselves.
var fickle = map[string]bool{
	"net/netfilter/nf_conntrack_count": true, // how many connections there are now
}

// kernelWide are parameters that no namespace has of its own, and that network
// tools are known to raise or to turn off.
var kernelWide = []string{
	"user", "kernel/hostname", "kernel/domainname", "kernel/pid_max", "kernel/threads-max", "kernel/core_pattern",
	"kernel/unprivileged_userns_clone", "kernel/apparmor_restrict_unprivileged_userns", "kernel/unprivileged_bpf_disabled",
	"kernel/keys", "fs/file-max", "fs/nr_open", "fs/inotify", "vm/overcommit_memory",
}

// sysctls are the parameters of the calling thread's network namespace and those
// of the kernel. What may not be read is left out: who may not read a parameter
// may not set it either.
func sysctls() (lines []string, err error) {
	const root = "/proc/sys/"
	for _, dir := range append([]string{"net"}, kernelWide...) {
		err := filepath.WalkDir(root+dir, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
				return nil
			case err != nil || entry.IsDir() || fickle[strings.TrimPrefix(path, root)]:
				return err
			}
			if value, err := os.ReadFile(path); err == nil {
				lines = append(lines, "sysctl "+strings.TrimPrefix(path, root)+" = "+strings.TrimSpace(string(value)))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return lines, nil
}
