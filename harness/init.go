package harness

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// nodeInit is the first process of the PID namespace that a node's commands live in.
// When it dies the kernel kills everything in there: daemons that forked away as well.
type nodeInit struct {
	process *exec.Cmd
	hold    *os.File // init's end is its stdin: it lives while this is open
	pidfd   int
}

// initVar in the environment makes this binary a node's init, if it is called so and
// is the first process of its PID namespace. In anybody else's environment it does
// nothing: a test binary that ends at once would have passed.
const (
	initVar  = "NSTEST_LAB_INIT"
	initName = "nstest-init "
)

func init() {
	if os.Getenv(initVar) != "" && os.Getpid() == 1 && strings.HasPrefix(os.Args[0], initName) {
		reap()
	}
}

// initNamespaces are what a node's commands share with one another and with nobody
// else, besides the network and the mounts.
const initNamespaces = unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC

// startInit starts a node's init from the calling thread, which is in the node's
// network and mount namespace and stays as long as the node: init dies with it. It
// returns when init has mounted /proc, and with the reason if it could not.
func startInit(name string) (started *nodeInit, noProc, err error) {
	path, program := "/proc/self/exe", smallInit()
	if program != nil {
		path = fmt.Sprintf("/proc/self/fd/%d", program.Fd())
	}
	started, noProc, err = startInitFrom(path, name)
	if err != nil && program != nil { // where nothing may be executed from memory
		started, noProc, err = startInitFrom("/proc/self/exe", name)
	}
	return started, noProc, at(err, "start the node's init")
}

func startInitFrom(path, name string) (started *nodeInit, noProc, err error) {
	in, hold, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	said, out, err := os.Pipe()
	if err != nil {
		_ = hold.Close()
		return nil, nil, err
	}
	defer said.Close()
	i := &nodeInit{hold: hold, pidfd: -1}
	i.process = &exec.Cmd{Path: path, Args: []string{initName + name}, Env: []string{initVar + "=1"}, Dir: "/", Stdin: in, Stdout: out}
	i.process.SysProcAttr = &unix.SysProcAttr{Cloneflags: initNamespaces, Pdeathsig: unix.SIGKILL, Setpgid: true, PidFD: &i.pidfd}
	err = i.process.Start()
	_ = out.Close()
	if err != nil {
		_ = hold.Close()
		return nil, nil, pathless(err)
	}
	var result int32
	if err := binary.Read(said, binary.NativeEndian, &result); err != nil {
		i.close()
		return nil, nil, errors.New("it ended at once")
	}
	if result != 0 {
		noProc = unix.Errno(-result)
	}
	return i, noProc, nil
}

// kill kills everything in the PID namespace.
func (i *nodeInit) kill() { _ = i.process.Process.Kill() }

// close waits until init has ended. The kernel keeps it until the commands, whose
// parent is this process, have been waited for.
func (i *nodeInit) close() {
	i.kill()
	_ = i.process.Wait()
	_ = unix.Close(i.pidfd)
	_ = i.hold.Close()
}

// smallInit is a file in memory with the program of initCode; nil where there is none.
var smallInit = sync.OnceValue(func() *os.File {
	if len(initCode) == 0 {
		return nil
	}
	// Nobody forks meanwhile: a child that had the file open to write, for the moment
	// until it executes something, would be in init's way (ETXTBSY).
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.MemfdCreate("nstest-init", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate("nstest-init", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	program := initProgram()
	if n, err := unix.Write(fd, program); err != nil || n != len(program) {
		return nil
	}
	readable, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(readable), "nstest-init")
})

// initProgram is an ELF file of one segment, initCode with its headers.
func initProgram() []byte {
	const base, headers = 0x400000, 64 + 56
	size := uint64(headers + len(initCode))
	var file bytes.Buffer
	for _, part := range []any{
		elf.Header64{
			Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_EXEC), Machine: uint16(initMachine), Version: uint32(elf.EV_CURRENT),
			Entry: base + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
		},
		elf.Prog64{
			Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
			Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x1000,
		},
		initCode,
	} {
		_ = binary.Write(&file, binary.LittleEndian, part) // a bytes.Buffer takes it all
	}
	return file.Bytes()
}

// reap is initCode in Go, for where that cannot be.
func reap() {
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGPIPE)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	var result int32
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		errno, _ := err.(unix.Errno)
		result = -int32(errno)
	}
	_ = binary.Write(os.Stdout, binary.NativeEndian, result)
	_ = os.Stdout.Close()
	// The death signal alone would not do: init asks for it a moment after it was
	// forked, and a parent that died before sends none.
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if pid <= 0 && err != unix.EINTR {
				break
			}
		}
		<-ended
	}
}

// checkOwnProc tries whether an init may mount /proc.
func checkOwnProc() error {
	return once(func() error { return unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS) }, func() error {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		i, noProc, err := startInit("check")
		if err != nil {
			return err
		}
		i.close()
		if noProc != nil {
			return missing{procHidden(noProc)}
		}
		return nil
	})
}

// procHidden says why a node has no /proc of its own, and what to do.
func procHidden(err error) string {
	return fmt.Sprintf("the kernel allows no /proc but the machine's where parts of that are hidden (%v): in a container of Docker or Podman,"+
		" run it with --security-opt systempaths=unconfined", err)
}
