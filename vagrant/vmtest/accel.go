package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nstest/nstest/vagrant/internal/cache"
	"golang.org/x/sys/unix"
)

const (
	kvm = "kvm"
	tcg = "tcg"
)

// trial is how long KVM may take for a boot, which takes it a second where it
// works. Some have a /dev/kvm that starts a stock kernel and never gets far.
const trial = 20 * time.Second

// accelerator is KVM where it really works, which a boot shows. The answer is
// kept for as long as the host's kernel is the same.
func accelerator(ctx context.Context, m machine, device string) (string, error) {
	file, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return tcg, nil
	}
	_ = file.Close()
	unlock, err := cache.Lock("accel")
	if err != nil {
		return "", err
	}
	defer unlock()
	dir, err := cache.Dir()
	if err != nil {
		return "", err
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", err
	}
	host := unix.ByteSliceToString(name.Release[:])
	path := filepath.Join(dir, "accel")
	if text, err := os.ReadFile(path); err == nil {
		if accel, of, _ := strings.Cut(strings.TrimSpace(string(text)), " "); of == host && (accel == kvm || accel == tcg) {
			return accel, nil
		}
	}
	accel := kvm
	m.accel = kvm
	if err := m.comesUp(ctx); err != nil {
		accel = tcg
		fmt.Fprintln(os.Stderr, "vmtest: KVM does not work here, going on without:", err)
	}
	if err := ctx.Err(); err != nil {
		return "", context.Cause(ctx)
	}
	return accel, os.WriteFile(path, []byte(accel+" "+host+"\n"), 0o644)
}

// comesUp boots a guest that has no job.
func (m machine) comesUp(ctx context.Context) error {
	m.limit, m.boot = trial, trial
	m.output, m.console, m.back = io.Discard, nil, func(io.Reader) error { return nil }
	result, err := m.run(ctx)
	if err == errEnd { // it was up, and had no status to give
		return nil
	}
	return fmt.Errorf("%w; the end of its console:\n%s", err, result.console)
}
