package harness

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// sandbox runs this binary again in a user and mount namespace, and returns its
// exit status. The child has a process group of its own and gets each signal
// once, from here: Ctrl-C at a terminal would otherwise arrive twice, and Ginkgo
// would skip its clean-up. It dies with this process, even by SIGKILL.
func sandbox() int {
	signals := make(chan os.Signal, 16)
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2} {
		if !signal.Ignored(s) { // as nohup(1) has it
			signal.Notify(signals, s)
		}
	}
	// The thread that starts the child stays until the child ends: its death
	// would be the child's.
	parent := newThread(func() error { return nil })
	defer parent.close()
	var cmd *exec.Cmd
	err := parent.run(func() error {
		var err error
		if cmd, err = startMapped(); err == nil {
			return nil
		}
		cmd = again(inside)
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		return cmd.Start()
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "nstest:", forbidden(err, readMachine()))
		return 1
	}
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				_ = cmd.Process.Signal(s)
			case <-ended:
				return
			}
		}
	}()
	err = cmd.Wait()
	close(ended)
	return exitStatus(cmd, err)
}

// again is this binary once more, in namespaces of its own; word tells it why.
func again(word string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), sandboxVar+"="+word)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = slices.Clone(inherited())
	cmd.SysProcAttr = &unix.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		Setpgid:    true,
		Pdeathsig:  unix.SIGKILL,
	}
	return cmd
}

func exitStatus(cmd *exec.Cmd, err error) int {
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "nstest: wait for the sandbox:", err)
		return 1
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// inherited are the descriptors that whoever started this process handed to it,
// which the child must find at the same numbers: go test's fuzz workers get
// pipes that way. The gaps between them stay closed.
var inherited = sync.OnceValue(func() []*os.File {
	var files []*os.File
	for fd := 3; fd < 16; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue // not ours to hand on: the runtime's own are close-on-exec
		}
		for len(files) < fd-3 {
			files = append(files, nil)
		}
		files = append(files, os.NewFile(uintptr(fd), fmt.Sprint("inherited ", fd)))
	}
	return files
})
