package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/vagrant/internal/cache"
	"github.com/nstest/nstest/vagrant/internal/host"
	. "github.com/onsi/gomega"
)

// vagrantVar allows the tests that want a box, which takes minutes the first time,
// and libvirt. `make vagrant-tests` sets it.
const vagrantVar = "NSTEST_VAGRANT"

func TestMain(m *testing.M) {
	if strings.HasPrefix(os.Args[0], "box: ") || os.Getenv("NSTEST_BOX_FIXTURE") == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

// box is this program with a command.
func box(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if os.Getenv(vagrantVar) != "1" {
		t.Skipf("it wants a box, and %s=1", vagrantVar)
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
	cmd := box(t, "sh", "-c", `setsid --fork true; virsh --connect qemu:///system list --all && vagrant box list && echo "box $NSTEST_BOX"
		grep --no-messages State:.*zombie /proc/[0-9]*/status || echo "no zombies"; exit 7`)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("status: %v, want 7", err)
	}
	for _, want := range []string{"Id   Name   State", boxName + " (libvirt", "box " + boxName, "no zombies"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}

// Whoever is killed cleans up nothing: what remains is what the kernel does not
// take back, files in the cache, and these go with the next run.
func TestNothingIsLeftOfARunThatIsKilled(t *testing.T) {
	const domain = `<domain type="qemu"><name>left</name><memory unit="MiB">64</memory><os><type arch="x86_64">hvm</type></os></domain>`
	for at, begun := range map[string]func(expect *WithT, space string, out *bufio.Reader) bool{
		"adding the box": func(_ *WithT, space string, _ *bufio.Reader) bool {
			stage := inSpace(space)
			return slices.Contains(stage, "libvirtd") && len(stage) > 2
		},
		"with a guest": func(expect *WithT, space string, out *bufio.Reader) bool {
			expect.Expect(out.ReadString('\n')).To(Equal("ready\n"))
			expect.Expect(inSpace(space)).To(ContainElement(HavePrefix("qemu")))
			return true
		},
	} {
		t.Run(at, func(t *testing.T) {
			expect := NewWithT(t)
			before := machineState(t)
			cmd := box(t, "sh", "-c", "echo '"+domain+"' | virsh --quiet --connect qemu:///system create /dev/stdin >&2; ip link add br9 type bridge; echo ready; exec tail -f /dev/null")
			out, err := cmd.StdoutPipe()
			expect.Expect(err).NotTo(HaveOccurred())
			expect.Expect(cmd.Start()).To(Succeed())
			var space string
			expect.Eventually(func() string { space = spaceOfChild(cmd.Process.Pid); return space }).WithTimeout(time.Minute).ShouldNot(BeEmpty())
			reader := bufio.NewReader(out)
			expect.Eventually(func() bool { return begun(expect, space, reader) }).WithTimeout(5 * time.Minute).Should(BeTrue())
			expect.Expect(cmd.Process.Kill()).To(Succeed())
			_ = cmd.Wait()
			expect.Eventually(func() []string { return inSpace(space) }).WithTimeout(20 * time.Second).Should(BeEmpty())
			expect.Expect(machineState(t)).To(Equal(before))
			scratch, remove, err := cache.Scratch() // sweeps
			expect.Expect(err).NotTo(HaveOccurred())
			defer remove()
			expect.Expect(filepath.Glob(filepath.Join(filepath.Dir(scratch), "*", "libvirtd.log"))).To(BeEmpty())
		})
	}
}

// spaceOfChild is the pid namespace of a process's child, when that has one of its
// own.
func spaceOfChild(pid int) string {
	own, _ := os.Readlink("/proc/self/ns/pid")
	for _, child := range host.Children(pid) {
		if space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", child)); err == nil && space != own {
			return space
		}
	}
	return ""
}

// inSpace are the names of the processes of a pid namespace.
func inSpace(space string) (names []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	for _, link := range links {
		if of, err := os.Readlink(link); err != nil || of != space {
			continue
		}
		name, _ := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(link)), "comm"))
		names = append(names, strings.TrimSpace(string(name)))
	}
	return names
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
