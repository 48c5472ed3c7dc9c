package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/nstest/nstest/vagrant/internal/host"
)

// machine is a guest to be booted.
type machine struct {
	accel   string // kvm or tcg
	image   string // the kernel
	initrd  string
	memory  int           // MiB
	boot    time.Duration // until init must have said that it is up
	limit   time.Duration // until its end
	output  io.Writer     // gets what the test prints
	console io.Writer     // gets the console as well; may be nil
	back    func(io.Reader) error
}

// ended is how a guest came to its end.
type ended struct {
	code    int
	console string // its last lines
}

// Why a guest gave no exit status.
var (
	errBoot  = errors.New("the guest never came up")
	errLimit = errors.New("the guest did not end in time")
	errCut   = errors.New("the guest's output did not come through")
	errEnd   = errors.New("the guest ended without an exit status (a panic, or no memory)")
)

// arguments are QEMU's. The descriptors from 3 on are those of the channels: a
// chardev of kind "file" writes to what it opens, and that may be a pipe.
func (m machine) arguments(channels []string) []string {
	args := []string{
		"-M", "q35", "-cpu", "max", "-m", fmt.Sprint(m.memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", m.image, "-initrd", m.initrd,
		// An end by panic, and a panic for what a kernel may otherwise survive. A
		// kernel that counts the timer's ticks panics where the host is busy.
		"-append", "console=ttyS0 quiet reboot=t panic=-1 oops=panic no_timer_check random.trust_cpu=on",
		"-chardev", "file,id=console,path=/dev/fd/3", "-serial", "chardev:console",
		"-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
	}
	if m.accel == kvm {
		args = append(args, "-smp", "2", "-accel", "kvm")
	} else {
		// Before QEMU 8.1 a processor may run code that another one has just
		// changed, and the kernel changes its own: "Oops: int3" in netif_rx. One
		// is as fast as two on two of the host's, which have other work as well.
		args = append(args, "-smp", "1", "-accel", "tcg,thread=single")
	}
	for i, name := range channels {
		args = append(args, "-chardev", fmt.Sprintf("file,id=%s,path=/dev/fd/%d", name, 4+i),
			"-device", fmt.Sprintf("virtserialport,chardev=%s,name=%s", name, name))
	}
	return args
}

// run boots the guest and waits for its end, which is the context's at the latest.
func (m machine) run(ctx context.Context) (ended, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, m.limit, errLimit)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	booting := time.AfterFunc(m.boot, func() { fail(errBoot) })
	defer booting.Stop()

	cmd := host.Command("qemu-system-x86_64", m.arguments([]string{portStatus, portOutput, portFiles})...)
	console, said := &tail{also: m.console}, &bytes.Buffer{}
	cmd.Stderr = said
	d := &delivery{up: func() { booting.Stop() }, complete: func() { _ = cmd.Process.Kill() }}
	reading := &channels{cmd: cmd}
	reading.add(func(r io.Reader) error { return drain(console, r) })
	reading.add(func(r io.Reader) error { return drain(d.statusWriter(), r) })
	reading.add(func(r io.Reader) error { return drain(m.output, d.counted(r, &d.output)) })
	reading.add(func(r io.Reader) error {
		r = d.counted(r, &d.files)
		return errors.Join(m.back(r), drain(io.Discard, r))
	})
	if err := reading.start(); err != nil {
		return ended{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	broken := reading.wait()
	died := cmd.Wait()
	stop()

	result := ended{console: console.String()}
	up, last := d.report()
	switch {
	case d.whole():
		result.code = last.code
		return result, broken
	case context.Cause(ctx) != nil:
		return result, context.Cause(ctx)
	case died != nil:
		return result, fmt.Errorf("qemu: %w: %s", died, strings.TrimSpace(said.String()))
	case !up:
		return result, errBoot
	case last != nil:
		return result, errCut
	}
	return result, errEnd
}

// channels are pipes that QEMU writes to.
type channels struct {
	cmd     *exec.Cmd
	readers []func(io.Reader) error
	open    []*os.File
	reading sync.WaitGroup
	mu      sync.Mutex
	err     error
}

func (c *channels) add(read func(io.Reader) error) { c.readers = append(c.readers, read) }

func (c *channels) start() error {
	for range c.readers {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		c.open = append(c.open, r)
		c.cmd.ExtraFiles = append(c.cmd.ExtraFiles, w)
	}
	err := c.cmd.Start()
	for _, w := range c.cmd.ExtraFiles {
		_ = w.Close()
	}
	if err != nil {
		return err
	}
	for i, read := range c.readers {
		c.reading.Go(func() {
			if err := read(c.open[i]); err != nil {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.err = errors.Join(c.err, err)
			}
		})
	}
	return nil
}

// wait waits until QEMU has let go of every channel.
func (c *channels) wait() error {
	c.reading.Wait()
	for _, r := range c.open {
		_ = r.Close()
	}
	return c.err
}

func drain(w io.Writer, r io.Reader) error {
	_, err := io.Copy(w, r)
	return err
}

// tail keeps the end of what is written.
type tail struct {
	also io.Writer
	text []byte
}

const tailSize = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	if t.also != nil {
		_, _ = t.also.Write(p)
	}
	t.text = append(t.text, p...)
	if len(t.text) > 2*tailSize {
		t.text = append([]byte(nil), t.text[len(t.text)-tailSize:]...)
	}
	return len(p), nil
}

// String is the last lines.
func (t *tail) String() string {
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(t.text), "\r", "")), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}
