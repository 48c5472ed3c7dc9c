// Box builds a Vagrant box of Debian 12 for libvirt out of Debian packages alone,
// and prints where it is:
//
//	vagrant box add --name debian/bookworm64 --provider libvirt "$(go run ./vagrant/box)"
//
// With a command, it runs that where the box is known as nstest/bookworm64 and
// NSTEST_BOX says so, beside a libvirtd of its own. Both are in namespaces of
// their own: no bridge, rule, mount, process or domain of them is the machine's,
// and all of it is gone when the command ends or box is killed. In vagrant/:
//
//	go run ./box vagrant up
//	go run ./box sh -c 'vagrant up; vagrant ssh'
//
// The guest is emulated, for which no KVM is needed, unless NSTEST_DRIVER is kvm.
// The box is kept in the user's cache directory, in nstest/box. It needs root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/nstest/nstest/vagrant/internal/cache"
	"github.com/nstest/nstest/vagrant/internal/host"
	"golang.org/x/sys/unix"
)

// The stages are this program once more, in namespaces of its own.
const (
	stageInit  = "box: init" // of the others: the first process of their namespace
	stageBuild = "box: build"
	stageRun   = "box: run"
)

// statusLost is the exit status when the command's own is not known.
const statusLost = 125

func main() {
	var err error
	code := 0
	switch os.Args[0] {
	case stageInit:
		code, err = initialize(os.Args[1:])
	case stageBuild:
		err = build(os.Args[1], os.Args[2])
	case stageRun:
		code, err = runBeside(os.Args[1], os.Args[2], os.Args[3:])
	default:
		code, err = outside()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "box:", err)
		code = statusLost
	}
	os.Exit(code)
}

func outside() (int, error) {
	update := flag.Bool("update", false, "build it anew, of the newest packages")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: box [flags] [COMMAND [ARGUMENT...]]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if os.Geteuid() != 0 {
		return 0, errors.New("only root can make a file system with owners, and run libvirtd: use sudo")
	}
	if err := errors.Join(host.DieWithParent(), programs()); err != nil {
		return 0, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	scratch, remove, err := cache.Scratch()
	if err != nil {
		return 0, err
	}
	defer remove()
	box, err := fetch(ctx, scratch, *update)
	if err != nil {
		return 0, err
	}
	if flag.NArg() == 0 {
		fmt.Println(box)
		return 0, nil
	}
	return status(ctx, within(ctx, unix.CLONE_NEWNET, stageRun, append([]string{box, scratch}, flag.Args()...)...).Run())
}

// within is this program as a stage. All that it starts dies with it, because its
// init does, and its mounts go with the last of them.
func within(ctx context.Context, flags uintptr, stage string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, self) // killed when the context is over
	cmd.Args = append([]string{stageInit, stage}, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL, Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | flags}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}

const self = "/proc/self/exe"

// initialize is the init of a stage, whose arguments begin with its name. Its
// mounts are its own, and /proc is that of its processes.
func initialize(args []string) (int, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return 0, fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return 0, fmt.Errorf("mount /proc: %w", err)
	}
	return host.RunAsInit(self, args, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
}

// status is the exit status of a command.
func status(ctx context.Context, err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, errors.New("interrupted")
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode(), nil
	}
	return 0, err
}
