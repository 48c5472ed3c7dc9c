package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/vagrant/internal/cache"
	"github.com/nstest/nstest/vagrant/internal/host"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// vmVar allows the tests that boot machines: they download a kernel and take
// their time. `make vm-tests` sets it.
const vmVar = "NSTEST_VM"

// bootsMachine skips a test where that is not allowed.
func bootsMachine(t *testing.T) {
	t.Helper()
	if os.Getenv(vmVar) != "1" {
		t.Skipf("it boots a machine, which wants %s=1", vmVar)
	}
}

const fixtureVar = "NSTEST_VM_FIXTURE"

// TestFixture is what the guest runs for the tests below.
func TestFixture(t *testing.T) {
	switch os.Getenv(fixtureVar) {
	case "":
		t.Skip("only in a guest")
	case "exit":
		fmt.Println("leaving")
		os.Exit(7)
	case "who":
		fmt.Println("user", os.Getuid())
		if err := os.WriteFile("here", nil, 0o600); err != nil {
			t.Fatal(err)
		}
	case "signal":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	case "panic":
		if err := os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0); err != nil {
			t.Fatal(err)
		}
	case "hang":
		fmt.Println("hanging")
		<-make(chan int)
	case "memory":
		for {
			hoard = append(hoard, bytes.Repeat([]byte("x"), 1<<20))
		}
	case "reboot":
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	case "flood":
		if err := os.WriteFile(os.Getenv("NSTEST_ARTIFACTS")+"/flood", make([]byte, floodSize), 0o644); err != nil {
			t.Fatal(err)
		}
		fmt.Print(strings.Repeat("x", floodSize))
	case "orphan":
		cmd := exec.Command("sh", "-c", "setsid sleep 1000 &")
		cmd.Stdout = os.Stdout
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
	}
}

var hoard [][]byte

// floodSize is more than pipes hold, and less than a port's queue does.
const floodSize = 1 << 20

// vmtest is the program, built and about to run this binary's fixture.
func vmtest(t *testing.T, fixture string, flags ...string) *exec.Cmd {
	t.Helper()
	bootsMachine(t)
	bin := build(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, append(flags, self, "-test.run=^TestFixture$", "-test.timeout=5m")...)
	cmd.Env = append(os.Environ(), fixtureVar+"="+fixture)
	cmd.Dir = t.TempDir()
	return cmd
}

func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "vmtest")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	return bin
}

func TestStatusIsNeverLost(t *testing.T) {
	for _, test := range []struct {
		fixture string
		status  int
		says    []string
		flags   []string
	}{
		{"exit", 7, []string{"leaving\n"}, nil},
		{"signal", 128 + 9, nil, nil},
		{"who", 0, []string{"user 0\n"}, nil},
		{"who", 0, []string{"user 65534\n"}, []string{"-user"}},
		{"orphan", 0, []string{"PASS\n"}, nil},
		{"panic", statusLost, []string{"without an exit status", "Kernel panic - not syncing: sysrq triggered crash"}, nil},
		{"memory", statusLost, []string{"without an exit status", "Kernel panic - not syncing: Out of memory"}, []string{"-memory=384"}},
		{"reboot", statusLost, []string{"without an exit status", "the end of its console"}, nil},
		{"hang", statusLost, []string{"hanging\n", "the guest did not end in time", "the end of its console"}, []string{"-limit=40s"}},
		{"exit", statusLost, []string{"the guest never came up", "the end of its console"}, []string{"-boot=1s"}},
	} {
		t.Run(fmt.Sprint(test.fixture, test.flags), func(t *testing.T) {
			cmd := vmtest(t, test.fixture, test.flags...)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if status := cmd.ProcessState.ExitCode(); status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			for _, want := range test.says {
				if !strings.Contains(string(out), want) {
					t.Errorf("it does not say %q", want)
				}
			}
			if t.Failed() {
				t.Logf("%s", out)
			}
		})
	}
}

// A host that is slow to read gets all: the guest does not end before.
func TestNothingIsLostOfWhatAGuestSends(t *testing.T) {
	expect := NewWithT(t)
	artifacts := t.TempDir()
	cmd := vmtest(t, "flood")
	cmd.Env = append(cmd.Env, "NSTEST_ARTIFACTS="+artifacts)
	out, err := cmd.StdoutPipe()
	expect.Expect(err).NotTo(HaveOccurred())
	expect.Expect(cmd.Start()).To(Succeed())
	expect.Eventually(func() int64 {
		info, err := os.Stat(filepath.Join(artifacts, "flood"))
		if err != nil {
			return 0
		}
		return info.Size()
	}).WithTimeout(2 * time.Minute).Should(BeNumerically("==", floodSize))
	qemu := host.Children(cmd.Process.Pid)
	expect.Expect(qemu).To(HaveLen(1))
	expect.Consistently(func() bool { return runs(qemu[0]) }).WithTimeout(5 * time.Second).Should(BeTrue())
	text, err := io.ReadAll(out)
	expect.Expect(err).NotTo(HaveOccurred())
	expect.Expect(cmd.Wait()).To(Succeed())
	expect.Expect(strings.Count(string(text), "x")).To(BeNumerically(">=", floodSize))
}

// The kernel has no init there, and ends in a panic of its own.
func TestGuestWithoutInitIsAFailure(t *testing.T) {
	bootsMachine(t)
	k, err := fetchKernel("6.1", false)
	if err != nil {
		t.Fatal(err)
	}
	base, err := baseImage("6.1", k)
	if err != nil {
		t.Fatal(err)
	}
	m := machine{accel: tcg, image: k.image, initrd: base, memory: 512, boot: time.Minute, limit: time.Minute,
		output: io.Discard, back: func(io.Reader) error { return nil }}
	result, err := m.run(context.Background())
	if !errors.Is(err, errBoot) || !strings.Contains(result.console, "Kernel panic") {
		t.Errorf("%v; console:\n%s", err, result.console)
	}
	// What tells whether KVM works: with init and without.
	if err := m.comesUp(t.Context()); !errors.Is(err, errBoot) {
		t.Errorf("without init it comes up: %v", err)
	}
	trial := m
	trial.initrd = filepath.Join(t.TempDir(), "initrd")
	if err := writeInitrd(trial.initrd, base, nil); err != nil {
		t.Fatal(err)
	}
	if err := trial.comesUp(t.Context()); err != nil {
		t.Error(err)
	}
	m.image = base // no kernel at all
	if _, err := m.run(context.Background()); err == nil || errors.Is(err, errBoot) {
		t.Errorf("without a kernel: %v", err)
	}
}

func TestGoTestExec(t *testing.T) {
	bootsMachine(t)
	dir, artifacts := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"go.mod":         "module m\n\ngo 1.26\n",
		"p/p.go":         "package p\n\nfunc F(x bool) int {\n\tif x {\n\t\treturn 1\n\t}\n\treturn 2\n}\n",
		"p/testdata/in":  "from the host",
		"p/p_test.go":    execTest,
		"p/template.txt": "beside the test",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-count=1", "-v", "-coverprofile=cover.out", "-exec="+build(t)+" -kernel 6.1", "./...", "-args", "it's", "$HOME")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NSTEST_ARTIFACTS="+artifacts, "NSTEST_SAID=a b'c\"d", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, want := range []string{"--- PASS: TestP", "coverage: 66.7% of statements", "kernel 6.1."} {
		if !strings.Contains(string(out), want) {
			t.Errorf("go test does not say %q:\n%s", want, out)
		}
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "cover.out"):         "m/p/p.go:7.2,7.10 1 0",
		filepath.Join(artifacts, "deep", "out"): "to the host",
	} {
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
}

const execTest = `package p

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

func TestP(t *testing.T) {
	F(true)
	for path, want := range map[string]string{"testdata/in": "from the host", "template.txt": "beside the test"} {
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	if said := os.Getenv("NSTEST_SAID"); said != "a b'c\"d" {
		t.Errorf("environment: %q", said)
	}
	if args := os.Args[len(os.Args)-2:]; !slices.Equal(args, []string{"it's", "$HOME"}) {
		t.Errorf("arguments: %q", os.Args)
	}
	if os.Getuid() != 0 {
		t.Error("not root")
	}
	dir := os.Getenv("NSTEST_ARTIFACTS") + "/deep"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/out", []byte("to the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("uname", "-r").Output()
	t.Logf("kernel %s %v", out, err)
	for _, words := range [][]string{
		{"nft", "list", "ruleset"}, {"iptables-nft", "-S"}, {"iptables-legacy", "-S"}, {"ip6tables-restore", "/dev/null"},
	} {
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", words, err, out)
		}
	}
}
`

// Whoever kills this program ends the machine, and what stays in the cache is
// gone with the next run.
func TestKilledLeavesNothing(t *testing.T) {
	cmd := vmtest(t, "hang")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, len("hanging\n"))
	if _, err := io.ReadFull(out, said); err != nil || string(said) != "hanging\n" {
		t.Errorf("%q, %v", said, err)
	}
	qemu := host.Children(cmd.Process.Pid)
	if len(qemu) != 1 {
		t.Errorf("children: %v", qemu)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for _, pid := range qemu {
		NewWithT(t).Eventually(func() bool { return runs(pid) }).WithTimeout(20 * time.Second).Should(BeFalse())
	}
	dir, remove, err := cache.Scratch()
	if err != nil {
		t.Fatal(err)
	}
	remove()
	// Others' runs may be there, but none without its owner.
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), "*", "initrd"))
	for _, path := range left {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) < time.Minute {
			t.Errorf("%s is left", path)
		}
	}
}

// runs says whether a process is there and no zombie, which has no program.
func runs(pid int) bool {
	_, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil
}
