package harness

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// sandboxVar steers the sandbox: "off" runs the tests where they are, which is
	// for debuggers. Main sets it to "inside" for the process within.
	sandboxVar = "NSTEST_SANDBOX"
	inside     = "inside"
)

// Main runs a package's tests where they may make namespaces, and checks at the
// end that they left nothing behind. It is all that TestMain does:
//
//	func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
//
// With privilege (CAP_SYS_ADMIN and CAP_NET_ADMIN) the tests run where they are.
// Without, this test binary runs once more in a user and mount namespace of its
// own, with the same arguments, streams and working directory, and Main returns
// its exit status; 128+n when signal n ended it. Nothing in there has any power
// over the machine's network, though it still shares the machine's loopback.
// Where user namespaces are forbidden, Main says what forbids them and how to
// allow them, and returns 1.
func Main(m interface{ Run() int }) int {
	if !privileged() && os.Getenv(sandboxVar) == "" {
		return sandbox()
	}
	if Rootless() && !privileged() {
		fmt.Fprintln(os.Stderr, "nstest:", forbidden(nil, readMachine()))
		return 1
	}
	before := takeStock()
	status := m.Run()
	if left := before.left(); left != "" {
		fmt.Fprintf(os.Stderr, "nstest: the tests left behind:\n%s", left)
		if status == 0 {
			status = 1
		}
	}
	return status
}

// Rootless says whether the tests run in Main's sandbox: as root of a user
// namespace, and as an ordinary user of the machine.
func Rootless() bool { return os.Getenv(sandboxVar) == inside }

// privileged says whether this process may make and configure network namespaces.
var privileged = sync.OnceValue(func() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	const need = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN
	return data[0].Effective&need == need
})

// noPrivilege is what to do where namespaces may not be made.
func noPrivilege() string {
	if Rootless() {
		return forbidden(nil, readMachine())
	}
	return "network namespaces need privilege: let the package's TestMain enter the sandbox" +
		" (func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }), or run the tests as root"
}

// sandbox runs this binary again in a user and mount namespace, and returns its
// exit status. The child has a process group of its own and gets each signal
// once, from here: Ctrl-C at a terminal would otherwise arrive twice, and Ginkgo
// would skip its clean-up. It dies with this process, even by SIGKILL.
func sandbox() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), sandboxVar+"="+inside)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = inherited()
	cmd.SysProcAttr = &unix.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Setpgid:     true,
		Pdeathsig:   unix.SIGKILL,
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	// The thread that starts the child stays until the child ends: its death
	// would be the child's.
	parent := newThread(func() error { return nil })
	defer parent.close()
	if err := parent.run(cmd.Start); err != nil {
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
	err := cmd.Wait()
	close(ended)
	return exitStatus(cmd, err)
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
func inherited() []*os.File {
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
}

// machine is what decides whether user namespaces may be had.
type machine map[string]string

// gates are the settings that forbid user namespaces to ordinary users, the
// value that does, and what allows them again.
var gates = []struct{ file, forbids, allow string }{
	{"/proc/sys/kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"},
	{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
	{"/proc/sys/user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=10000"},
	{"/proc/sys/user/max_mnt_namespaces", "0", "sudo sysctl -w user.max_mnt_namespaces=10000"},
}

func readMachine() machine {
	m := machine{}
	for _, gate := range gates {
		if text, err := os.ReadFile(gate.file); err == nil {
			m[gate.file] = strings.TrimSpace(string(text))
		}
	}
	return m
}

// forbidden says why the sandbox cannot be entered, and the command that allows it.
func forbidden(err error, m machine) string {
	text := "enter the sandbox"
	if err != nil {
		text += ": " + pathless(err).Error()
	}
	for _, gate := range gates {
		if m[gate.file] == gate.forbids {
			name := strings.ReplaceAll(strings.TrimPrefix(gate.file, "/proc/sys/"), "/", ".")
			return fmt.Sprintf("%s: user namespaces are forbidden by %s=%s; allow them: %s, or run the tests as root", text, name, gate.forbids, gate.allow)
		}
	}
	return text + ": user namespaces are not to be had here; a container's seccomp profile may forbid them" +
		" (docker run --security-opt seccomp=unconfined, or --privileged); or run the tests as root"
}
