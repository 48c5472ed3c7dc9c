package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nstest/nstest/vagrant/internal/host"
	"golang.org/x/sys/unix"
)

// The guest's ports to the host.
const (
	portOutput = "output" // what the test prints
	portFiles  = "files"  // a tar archive of what is wanted back
	portStatus = "status" // a word when the guest is up, and how the test ended: see delivery
)

const (
	jobFile  = "/job.json"
	wordUp   = "up"
	wordExit = "exit"
)

// guest is this program as the guest's init. It does not return: init's end is
// the kernel's panic, which the host understands as a failure.
func guest() {
	fmt.Fprintln(os.Stderr, "init:", runGuest())
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

// runGuest runs the job. Whatever it returns is a failure: when all went well, the
// host ends this machine.
func runGuest() error {
	if err := prepare(); err != nil {
		return err
	}
	status, err := openPort(portStatus)
	if err != nil {
		return err
	}
	fmt.Fprintln(status, wordUp)
	text, err := os.ReadFile(jobFile)
	if err != nil {
		return err // there is none when it is but tried whether a guest comes up
	}
	var j job
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	var output, files counter
	if output.to, err = openPort(portOutput); err != nil {
		return err
	}
	if files.to, err = openPort(portFiles); err != nil {
		return err
	}
	if err := setSysctls(j.Sysctls); err != nil {
		return err
	}
	if j.User {
		// As on a machine where root has used them: an ordinary user can load neither.
		// A kernel may have them no longer.
		_ = runProgram("/sbin/modprobe -q -a ip_tables ip6_tables")
	}
	code, err := j.run(&output)
	if err != nil {
		return err
	}
	if err := sendBack(&files, j.Back); err != nil {
		return err
	}
	// The last word: whatever goes wrong before it is a failure.
	if _, err := fmt.Fprintln(status, wordExit, code, output.bytes, files.bytes); err != nil {
		return err
	}
	// What a write to a port returned from may still be under way. The host ends
	// this machine when it has all.
	<-time.After(time.Minute)
	return errors.New("the host did not take all that was sent")
}

// guestVar tells a test that nobody else uses the machine, which ends with it.
const guestVar = "NSTEST_GUEST"

// setSysctls gives the guest sysctls. Those of a module have it loaded.
func setSysctls(all []string) error {
	for _, one := range all {
		key, value, ok := strings.Cut(one, "=")
		if !ok {
			return fmt.Errorf("sysctl %q: it has no value", one)
		}
		if strings.HasPrefix(key, "net.bridge.") {
			if err := runProgram("/sbin/modprobe br_netfilter"); err != nil {
				return err
			}
		}
		if err := os.WriteFile("/proc/sys/"+strings.ReplaceAll(key, ".", "/"), []byte(value), 0); err != nil {
			return fmt.Errorf("sysctl %s: %w", one, err)
		}
	}
	return nil
}

// runProgram runs a program, as init.
func runProgram(words string) error {
	args := strings.Fields(words)
	code, err := host.RunAsInit(args[0], args, &syscall.ProcAttr{Dir: "/", Files: []uintptr{0, 1, 2}})
	if err == nil && code != 0 {
		err = fmt.Errorf("%s: status %d", words, code)
	}
	return err
}

// counter counts what is written.
type counter struct {
	to    io.Writer
	bytes int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.bytes += int64(n)
	return n, err
}

// prepare makes a system of the initramfs, as tests expect one.
func prepare() error {
	for _, m := range []struct {
		target, kind, options string
		optional              bool
	}{
		{"/proc", "proc", "", false},
		{"/sys", "sysfs", "", false},
		{"/dev", "devtmpfs", "", false},
		{"/dev/pts", "devpts", "", false},
		{"/dev/shm", "tmpfs", "", false},
		{"/run", "tmpfs", "mode=755", false},
		{"/sys/fs/cgroup", "cgroup2", "", false},
		{"/sys/kernel/tracing", "tracefs", "", true},
	} {
		_ = os.Mkdir(m.target, 0o755)
		if err := unix.Mount(m.kind, m.target, m.kind, 0, m.options); err != nil && !m.optional {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	for name, value := range map[string]string{
		// Else the kernel ends a process that it picks, and a test may pass all the same.
		"/proc/sys/vm/panic_on_oom": "1",
		"/proc/sys/kernel/hostname": "nstest",
	} {
		if err := os.WriteFile(name, []byte(value), 0); err != nil {
			return err
		}
	}
	for _, words := range []string{
		"/bin/busybox --install -s", // it leaves what is there already
		"/sbin/modprobe -a virtio_pci virtio_console virtio_rng tun",
		"/bin/busybox chmod 666 /dev/net/tun", // as udev has it
		"/sbin/ip link set lo up",
	} {
		if err := runProgram(words); err != nil {
			return err
		}
	}
	return nil
}

// openPort opens a virtio port by its name. There is no udev that would name it,
// and the device may take a moment to come.
func openPort(name string) (*os.File, error) {
	for range 100 {
		found, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, file := range found {
			text, err := os.ReadFile(file)
			if err != nil || strings.TrimSpace(string(text)) != name {
				continue
			}
			device := "/dev/" + filepath.Base(filepath.Dir(file))
			fd, err := unix.Open(device, unix.O_WRONLY|unix.O_CLOEXEC, 0) // it blocks while the host is behind
			if err != nil {
				return nil, fmt.Errorf("open port %s: %w", name, err)
			}
			return os.NewFile(uintptr(fd), device), nil
		}
		<-time.After(100 * time.Millisecond)
	}
	return nil, fmt.Errorf("port %s: %w", name, os.ErrNotExist)
}

// run runs the test, copies what it prints, and is its exit status.
func (j job) run(port io.Writer) (int, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(port, r)
		copied <- err
	}()
	who, home := root, "/root"
	if j.User {
		who, home = nobody, "/tmp"
	}
	for _, dir := range append(j.Make, j.Dir) {
		if err := os.Chown(dir, int(who.Uid), int(who.Gid)); err != nil {
			return 0, err
		}
	}
	code, err := host.RunAsInit(j.Binary, append([]string{j.Binary}, j.Args...), &syscall.ProcAttr{
		Dir:   j.Dir,
		Env:   append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + home, "TMPDIR=/tmp", "PWD=" + j.Dir, guestVar + "=1"}, j.Env...),
		Files: []uintptr{null.Fd(), w.Fd(), w.Fd()},
		Sys:   &syscall.SysProcAttr{Credential: &who},
	})
	if err != nil {
		return 0, err
	}
	// What a test leaves running must not hold its output open.
	_ = unix.Kill(-1, unix.SIGKILL)
	return code, errors.Join(w.Close(), <-copied)
}

// Who may run a test: see etc/passwd.
var root, nobody = syscall.Credential{}, syscall.Credential{Uid: 65534, Gid: 65534}

// sendBack writes an archive of those paths that are there. Only files and
// directories go: a test leaves no pipe for its reader.
func sendBack(w io.Writer, paths []string) error {
	archive := tar.NewWriter(w)
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() && !entry.IsDir() {
				return err
			}
			return send(archive, path, entry)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return archive.Close()
}

func send(archive *tar.Writer, path string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	header, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return err
	}
	header.Name = path
	if err := archive.WriteHeader(header); err != nil || entry.IsDir() {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.CopyN(archive, file, header.Size)
	return err
}
