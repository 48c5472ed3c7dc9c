// Package host runs programs of this machine, which die with this one.
package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Command is a program that dies with this one.
func Command(name string, args ...string) *exec.Cmd {
	if path, err := Program(name); err == nil {
		name = path
	}
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	return cmd
}

// Program is the path of a program, which may be where an ordinary user's PATH
// does not lead.
func Program(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if err == nil {
			return path, nil
		}
		path, err = exec.LookPath(filepath.Join(dir, name))
	}
	return path, err
}

// Run runs a program to its end.
func Run(name string, args ...string) error {
	_, err := Output(name, args...)
	return err
}

// Output is what a program says.
func Output(name string, args ...string) (string, error) {
	return OutputOf(Command(name, args...))
}

// OutputOf is what a command says, and when it fails, the error with its reason.
func OutputOf(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// DieWithParent ends this program by SIGTERM when its parent ends, as `go run` does
// without a word to what it runs when it is killed.
func DieWithParent() error {
	parent := os.Getppid()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil {
		return err
	}
	if os.Getppid() != parent {
		return errors.New("the parent has ended")
	}
	return nil
}

// Children are the processes that a process has started, or was given.
func Children(pid int) (pids []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file) // of a thread that has ended there is none
		for word := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}
