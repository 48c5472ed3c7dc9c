// Vmtest runs a test binary in a virtual machine with a stock Debian kernel:
//
//	go test -exec 'go run github.com/nstest/nstest/vagrant/vmtest -kernel 6.1' ./suites/...
//
// The program is named by its import path because `go test` calls it in the
// directory of each package, where ./vagrant/vmtest is nothing.
//
// The guest has the package's directory with its testdata, the variables
// NSTEST_*, busybox, nft and iptables, and runs the test as root or, with -user, as
// nobody. What the test
// writes by -coverprofile and its like, into GOCOVERDIR and into NSTEST_ARTIFACTS
// comes back, with its output and its exit status. A guest that panics, hangs,
// runs out of memory or never boots is a failure, with status 125 and the end of
// its console.
//
// The kernel comes from the Debian mirror that the machine's apt has, and is kept
// in the user's cache directory, in nstest/: nothing is written anywhere else.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/nstest/nstest/vagrant/internal/cache"
	"github.com/nstest/nstest/vagrant/internal/host"
	"golang.org/x/sys/unix"
)

// options are the flags.
type options struct {
	kernel  string
	update  bool
	memory  int
	boot    time.Duration
	limit   time.Duration
	console bool
	user    bool
	sysctls string
}

// statusLost is the exit status when the test's own is not known.
const statusLost = 125

func main() {
	if os.Getpid() == 1 {
		guest()
		return
	}
	var o options
	flag.StringVar(&o.kernel, "kernel", "6.1", "the kernel's `version`: "+versions())
	flag.BoolVar(&o.update, "update", false, "fetch the newest of that version; with no test that is all")
	flag.IntVar(&o.memory, "memory", 1024, "the guest's memory in `MiB`")
	flag.DurationVar(&o.boot, "boot", 3*time.Minute, "how long the guest may take until its init runs")
	flag.DurationVar(&o.limit, "limit", 0, "how long the guest may take; else the test's -timeout and half a minute")
	flag.BoolVar(&o.console, "console", false, "show the guest's console on standard error")
	flag.BoolVar(&o.user, "user", false, "run the test as an ordinary user")
	flag.StringVar(&o.sysctls, "sysctls", "", "what the guest's sysctls are, `key=value` with spaces or commas between")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: vmtest [flags] TEST-BINARY [ARGUMENT...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	// With SIGQUIT `go test` ends a test that is over its time.
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	defer stop()
	code, err := o.main(ctx, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "vmtest:", err)
		code = statusLost
	}
	os.Exit(code)
}

func (o options) main(ctx context.Context, args []string) (int, error) {
	if err := host.DieWithParent(); err != nil {
		return 0, err
	}
	if len(args) == 0 && !o.update {
		flag.Usage()
		return 2, nil
	}
	k, err := fetchKernel(o.kernel, o.update)
	if err != nil || len(args) == 0 {
		return 0, err
	}
	base, err := baseImage(o.kernel, k)
	if err != nil {
		return 0, err
	}
	dir, remove, err := cache.Scratch()
	if err != nil {
		return 0, err
	}
	defer remove()
	m := machine{image: k.image, memory: o.memory, boot: o.boot}
	if m.accel, err = o.accelerator(ctx, m, base, dir); err != nil {
		return 0, err
	}
	return o.test(ctx, m, base, filepath.Join(dir, "initrd"), args)
}

// test runs the test binary in the machine, when its turn has come.
func (o options) test(ctx context.Context, m machine, base, initrd string, args []string) (int, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	j := newJob(args[0], args[1:], cwd, os.Environ())
	j.User, j.Sysctls, m.initrd = o.user, strings.FieldsFunc(o.sysctls, func(r rune) bool { return r == ' ' || r == ',' }), initrd
	if err := writeInitrd(m.initrd, base, &j); err != nil {
		return 0, err
	}
	// One guest at a time: in a slower one tests would only run into their own
	// limits.
	free, err := cache.Lock("machine")
	if err != nil {
		return 0, err
	}
	defer free()
	m.output, m.back = os.Stdout, func(r io.Reader) error { return takeBack(r, j.Back) }
	if o.console {
		m.console = os.Stderr
	}
	m.limit = o.limit
	if m.limit == 0 {
		m.limit = limitOf(timeout(args), m.boot)
	}
	result, err := m.run(ctx)
	if err != nil {
		err = fmt.Errorf("kernel %s (%s): %w; the end of its console:\n%s", o.kernel, m.accel, err, result.console)
	}
	return result.code, err
}

// limitOf is what a guest may take for a test that ends itself after so long. It
// is less than the minute after which `go test` ends this program.
func limitOf(timeout, boot time.Duration) time.Duration {
	if timeout == 0 {
		return 24 * time.Hour
	}
	return timeout + min(boot, 45*time.Second)
}

// accelerator tries KVM with an image that has init and no test.
func (o options) accelerator(ctx context.Context, m machine, base, dir string) (string, error) {
	m.initrd = filepath.Join(dir, "trial")
	if err := writeInitrd(m.initrd, base, nil); err != nil {
		return "", err
	}
	return accelerator(ctx, m, "/dev/kvm")
}

// writeInitrd is the kernel's image and one more archive behind it, with init
// and the test.
func writeInitrd(path, base string, j *job) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	from, err := os.Open(base)
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := io.Copy(file, from); err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(file, 1<<20)
	a := newArchive(buffered)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if j == nil {
		err = putBinary(a, "init", self)
	} else {
		var text []byte
		if text, err = json.Marshal(j); err == nil {
			a.text(jobFile, 0o644, string(text))
			err = j.put(a, self)
		}
	}
	return errors.Join(err, a.end(), buffered.Flush(), file.Close())
}
