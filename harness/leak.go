package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stock is what this process holds of namespaces, and whom it started.
type stock struct {
	own      uint64          // inode of the process's own network namespace
	children map[string]bool // by process id
	files    map[string]bool // by descriptor
}

func takeStock() stock {
	// The first thread's, also where /proc is of another PID namespace, and has other numbers.
	s := stock{own: inodeOf("/proc/self/ns/net")}
	s.children = childProcesses()
	s.files = s.foreignFiles()
	return s
}

// leakBound is how long what is ending may take to end: threads and processes
// do so after the call that let them go has returned.
const leakBound = 3 * time.Second

// left is what is there that was not: a line each, "" when there is nothing.
func (s stock) left() string {
	deadline := time.Now().Add(leakBound)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		text := s.leaks()
		if text == "" || time.Now().After(deadline) {
			return text
		}
		<-tick.C
	}
}

func (s stock) leaks() string {
	var text strings.Builder
	upLabs.Range(func(lab, _ any) bool {
		fmt.Fprintf(&text, "  lab %s is still up\n", lab.(*Lab).Name())
		return true
	})
	for fd, what := range s.foreignFilesNamed() {
		if !s.files[fd] {
			fmt.Fprintf(&text, "  descriptor %s: %s\n", fd, what)
		}
	}
	for _, thread := range entries("/proc/self/task") {
		if inode := inodeOf("/proc/self/task/" + thread + "/ns/net"); inode != 0 && inode != s.own {
			fmt.Fprintf(&text, "  thread %s is in network namespace %d\n", thread, inode)
		}
	}
	for pid := range childProcesses() {
		if !s.children[pid] {
			fmt.Fprintf(&text, "  process %s: %s\n", pid, commandLine(pid))
		}
	}
	return text.String()
}

// foreignFiles are the descriptors that keep another network namespace alive.
func (s stock) foreignFiles() map[string]bool {
	files := map[string]bool{}
	for fd := range s.foreignFilesNamed() {
		files[fd] = true
	}
	return files
}

func (s stock) foreignFilesNamed() map[string]string {
	files := map[string]string{}
	for _, name := range entries("/proc/self/fd") {
		link, err := os.Readlink("/proc/self/fd/" + name)
		if err != nil {
			continue
		}
		switch {
		case strings.HasPrefix(link, "net:["):
			if link != fmt.Sprintf("net:[%d]", s.own) {
				files[name] = "network namespace " + link
			}
		case strings.HasPrefix(link, "socket:"):
			fd, _ := strconv.Atoi(name)
			if inode := socketNamespace(fd); inode != 0 && inode != s.own {
				files[name] = fmt.Sprintf("a socket in network namespace %d", inode)
			}
		}
	}
	return files
}

// socketNamespace is the inode of the namespace that a socket is in; 0 when the
// kernel does not say (SIOCGSKNS needs CAP_NET_ADMIN there).
func socketNamespace(fd int) uint64 {
	ns, err := unix.IoctlRetInt(fd, unix.SIOCGSKNS)
	if err != nil {
		return 0
	}
	defer unix.Close(ns)
	var stat unix.Stat_t
	if unix.Fstat(ns, &stat) != nil {
		return 0
	}
	return stat.Ino
}

func inodeOf(path string) uint64 {
	var stat unix.Stat_t
	if unix.Stat(path, &stat) != nil {
		return 0
	}
	return stat.Ino
}

// entries are the numbers in a directory of /proc, but for that of the
// descriptor that reads it.
func entries(dir string) []string {
	file, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer file.Close()
	names, _ := file.Readdirnames(-1)
	return names
}

// childProcesses are the processes that any thread of this one started and that
// have not been waited for.
func childProcesses() map[string]bool {
	children := map[string]bool{}
	for _, thread := range entries("/proc/self/task") {
		text, _ := os.ReadFile("/proc/self/task/" + thread + "/children")
		for _, pid := range strings.Fields(string(text)) {
			children[pid] = true
		}
	}
	return children
}

func commandLine(pid string) string {
	text, err := os.ReadFile("/proc/" + pid + "/cmdline")
	if err != nil || len(text) == 0 {
		return "ended, not waited for"
	}
	return strings.TrimSpace(strings.ReplaceAll(string(text), "\x00", " "))
}
