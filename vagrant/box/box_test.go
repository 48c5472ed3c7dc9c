package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/vagrant/internal/cache"
	. "github.com/onsi/gomega"
)

// vmVar lets the tests run that want a box, which takes minutes the first time.
const vmVar = "NSTEST_VM"

func TestMain(m *testing.M) {
	if os.Args[0] == stageBuild || os.Args[0] == stageRun || os.Getenv("NSTEST_BOX_FIXTURE") == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

// box is this program with a command.
func box(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if os.Getenv(vmVar) != "1" {
		t.Skipf("it wants a box, and %s=1", vmVar)
	}
	if os.Geteuid() != 0 {
		t.Skip("it wants root")
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), "NSTEST_BOX_FIXTURE=1")
	cmd.Stderr = os.Stderr
	return cmd
}

func TestACommandRunsBesideALibvirtdThatKnowsTheBox(t *testing.T) {
	cmd := box(t, "sh", "-c", `virsh --connect qemu:///system list --all && vagrant box list && echo "box $NSTEST_BOX" && exit 7`)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("status: %v, want 7", err)
	}
	for _, want := range []string{"Id   Name   State", boxName + " (libvirt", "box " + boxName} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}

// Whoever is killed cleans up nothing: what remains is what the kernel does not
// take back, files in the cache, and these go with the next run.
func TestNothingIsLeftOfARunThatIsKilled(t *testing.T) {
	before := machineState(t)
	mark := "NSTEST_BOX_MARK=" + t.TempDir()
	cmd := box(t, "sh", "-c", "virsh --connect qemu:///system net-start default 2>/dev/null; ip link add br9 type bridge; echo ready; exec tail -f /dev/null")
	cmd.Env = append(cmd.Env, mark)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if len(marked(t, mark)) < 3 {
		t.Error("there are no processes to be killed")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	NewWithT(t).Eventually(func() []string { return marked(t, mark) }).WithTimeout(20 * time.Second).Should(BeEmpty())
	if after := machineState(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	scratch, remove, err := cache.Scratch() // sweeps
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	entries, err := os.ReadDir(filepath.Dir(scratch))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, err := os.Stat(filepath.Join(filepath.Dir(scratch), entry.Name(), "libvirtd.log")); err == nil {
			t.Errorf("%s is left in the cache", entry.Name())
		}
	}
}

// marked are the processes with that in their environment.
func marked(t *testing.T, mark string) (found []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err == nil && bytes.Contains(text, []byte(mark)) {
			found = append(found, filepath.Base(filepath.Dir(path)))
		}
	}
	return found
}

// machineState is what a run must not change: mounts, links and directories.
func machineState(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, path := range []string{"/proc/self/mounts", "/etc/passwd", "/etc/group"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, pattern := range []string{"/sys/class/net/*", "/run/libvirt*", "/var/lib/libvirt*", "/var/cache/libvirt*", "/var/log/libvirt*", "/etc/libvirt/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(strings.Join(found, "\n") + "\n")
	}
	return all.String()
}
