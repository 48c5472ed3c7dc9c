package hygiene_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is one that runs, told from another that gets its number later by when
// it started.
type process struct {
	Pid, Parent int
	Started     uint64 // in ticks since the machine started
	Command     string
	ofKernel    bool // a thread of the kernel, without memory of its own
}

// String is the process as a failure shows it.
func (p process) String() string { return fmt.Sprintf("process %d: %s", p.Pid, p.Command) }

// look reads a process; false when there is none, or one that only waits to be
// waited for.
func look(pid int) (process, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	// The name in parentheses may have spaces and parentheses of its own.
	_, rest, _ := cutLast(string(text), ") ")
	fields := strings.Fields(rest) // from the third on (proc_pid_stat(5))
	if len(fields) < 21 || fields[0] == "Z" || fields[0] == "X" {
		return process{}, false
	}
	parent, _ := strconv.Atoi(fields[1])
	started, _ := strconv.ParseUint(fields[19], 10, 64)
	text, _ = os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	command := strings.TrimSpace(strings.ReplaceAll(string(text), "\x00", " "))
	return process{pid, parent, started, command, fields[20] == "0"}, true
}

// everyProcess are all of the machine.
func everyProcess() (all []process, err error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if p, ok := look(pid); ok {
			all = append(all, p)
		}
	}
	return all, err
}

// marked are the processes that carry a mark in their environment or command
// line. Other tests' processes do not. In the middle of its exec a process has
// neither: a young one that has none is among them until the next look.
func marked(mark string) (found []process, err error) {
	self, _ := look(os.Getpid())
	all, err := everyProcess()
	for _, p := range all {
		environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.Pid))
		untold := p.Command == "" && !p.ofKernel && p.Started >= self.Started
		if untold || bytes.Contains(environment, []byte(mark)) || strings.Contains(p.Command, mark) {
			found = append(found, p)
		}
	}
	return found, err
}

// descendants are a process and all that come from it. A daemon of a lab is one
// of them: its parent is the lab's init.
func descendants(pid int) (found []process, err error) {
	all, err := everyProcess()
	family := map[int]bool{pid: true}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if family[p.Parent] && !family[p.Pid] {
				family[p.Pid], grown = true, true
			}
		}
	}
	for _, p := range all {
		if family[p.Pid] {
			found = append(found, p)
		}
	}
	return found, err
}

// alive are those that still run.
func alive(known []process) (still []process) {
	for _, p := range known {
		if now, ok := look(p.Pid); ok && now.Started == p.Started {
			still = append(still, now)
		}
	}
	return still
}
