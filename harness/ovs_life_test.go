package harness_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// What lasts of an Open vSwitch when its lab is down, or its test was killed.
func TestNothingIsLeftOfAnOpenVSwitch(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.OVS)
	lab := harness.Up(t, switched("left"))
	text, err := lab.OVS("br-int").Vsctl("get", "Open_vSwitch", ".", "_uuid")
	if err != nil || len(strings.TrimSpace(text)) != 36 {
		t.Fatalf("%v: %q", err, text)
	}
	if with := daemonsOf("left"); len(with) != 1 {
		t.Errorf("inits of the switch: %v", with)
	}
	lab.Down()
	if with := daemonsOf("left"); len(with) != 0 {
		t.Errorf("left: %v", with)
	}
}

// daemonsOf are the inits of machines of a lab's Open vSwitches: all that runs there ends with
// them.
func daemonsOf(lab string) (pids []string) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		if text, _ := os.ReadFile(path); strings.Contains(string(text), fmt.Sprintf("nstest-init %s/openvswitch", lab)) {
			pids = append(pids, path)
		}
	}
	return pids
}

// Of a lab that fails the bundle has the switch.
func TestTheBundleHasAnOpenVSwitch(t *testing.T) {
	harness.Require(t, harness.OVS)
	dir := t.TempDir()
	t.Setenv("NSTEST_ARTIFACTS", dir)
	record(t, func(tb harness.TB) {
		lab := harness.Up(failing{tb}, switched("bundled", "cookie=0x2a,priority=10,udp,in_port=pc,actions=drop"))
		_ = hears(t, lab, false, 100*time.Millisecond)
	})
	found := map[string]string{}
	_ = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && strings.Contains(path, "/openvswitch/") {
			text, _ := os.ReadFile(path)
			found[filepath.Base(path)] = string(text)
		}
		return nil
	})
	for file, wants := range map[string][]string{
		"br-int.txt":  {"# ovs-vsctl show", "Port pc", "cookie=0x2a", "n_packets=1,", "priority=10,udp,in_port=pc actions=drop", "# ovs-appctl fdb/show br-int"},
		"daemons.log": {"# ovsdb-server", "# ovs-vswitchd", "bridge br-int: added interface pc on port 1"},
	} {
		for _, want := range wants {
			if !strings.Contains(found[file], want) {
				t.Errorf("%s: no %q in\n%s", file, want, found[file])
			}
		}
	}
}

// failing is a test that has failed.
type failing struct{ harness.TB }

func (failing) Failed() bool        { return true }
func (failing) Logf(string, ...any) {}

func init() {
	fixtures["ovs"] = func(t *testing.T) {
		lab := harness.Up(t, switched("killed"+strconv.Itoa(os.Getpid())))
		fmt.Println("\ndaemon", vswitchd(lab.Name()))
		select {}
	}
}

// vswitchd is the process id of a lab's ovs-vswitchd, 0 where it is not found: it is in the
// PID namespace that the lab's init is the first of.
func vswitchd(lab string) (pid int) {
	for _, init := range daemonsOf(lab) {
		namespace, _ := os.Readlink(filepath.Join(filepath.Dir(init), "ns", "pid"))
		all, _ := filepath.Glob("/proc/[0-9]*/comm")
		for _, path := range all {
			own, _ := os.Readlink(filepath.Join(filepath.Dir(path), "ns", "pid"))
			if name, _ := os.ReadFile(path); own == namespace && string(name) == "ovs-vswitchd\n" {
				_, _ = fmt.Sscanf(path, "/proc/%d/", &pid)
			}
		}
	}
	return pid
}

func TestAnOpenVSwitchDiesWithASIGKILLOfTheTests(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.OVS)
	for name, cmd := range map[string]*exec.Cmd{"same privilege": fixture("ovs"), "sandbox": unprivileged("ovs")} {
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var pid int
		for lines := bufio.NewScanner(stdout); pid == 0 && lines.Scan(); {
			_, _ = fmt.Sscanf(lines.Text(), "daemon %d", &pid)
		}
		if pid == 0 || !alive(pid) {
			t.Fatalf("%s: no ovs-vswitchd", name)
		}
		pidfd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if ready, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 5000); err != nil || ready != 1 {
			t.Errorf("%s: ovs-vswitchd outlived a SIGKILL of the tests: %d, %v", name, ready, err)
		}
		_ = unix.Close(pidfd)
	}
}
