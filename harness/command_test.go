package harness_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }

func TestCommandSeesTheLab(t *testing.T) {
	t.Parallel()
	bob := harness.Up(t, office()).Node("client")
	for command, want := range map[string]string{
		"ls /sys/class/net":                   "lan\nlo\n",
		"cat /etc/hosts":                      "10.0.2.1 server\n",
		"grep -c nameserver /etc/resolv.conf": "0\n",
		"readlink /proc/self/ns/net":          "net:[" + itoa(bob.Inode()) + "]\n",
		"echo $GREETING":                      "hello\n",
		"cat":                                 "input",
		"echo a; echo b >&2":                  "a\n",
		"cat /sys/class/net/lan/address":      ":",
	} {
		cmd := bob.Command("sh", "-c", command)
		cmd.Env = append(os.Environ(), "GREETING=hello")
		cmd.Stdin = strings.NewReader("input")
		out, err := cmd.Output()
		var exit *exec.ExitError
		finds := !strings.HasPrefix(command, "grep") // grep -c exits with 1 when it counts none
		if err != nil && (finds || !errors.As(err, &exit)) {
			t.Errorf("%s: %v", command, err)
		}
		if !strings.Contains(string(out), want) {
			t.Errorf("%s: %q, want %q", command, out, want)
		}
	}
}

func init() {
	fixtures["read-only sys"] = func(t *testing.T) {
		const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
		if err := unix.Mount("", "/sys", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, ""); err != nil {
			t.Fatal(err)
		}
		out, status := outcome(t, unprivileged("list sys")) // for whom it is locked so
		fmt.Printf("\ninner status %d: %s", status, out)
	}
	fixtures["list sys"] = func(t *testing.T) {
		out, err := harness.Up(t, pair()).Node("bob").Command("ls", "/sys/class/net").CombinedOutput()
		fmt.Printf("\nsees %q, %v\n", out, err)
	}
}

// As in a container without privilege.
func TestCommandSeesTheLabWhereSysIsReadOnly(t *testing.T) {
	t.Parallel()
	out, status := outcome(t, unprivileged("read-only sys"))
	if want := `sees "lo\nwire\n", <nil>`; status != 0 || !strings.Contains(out, want) {
		t.Errorf("status %d, want %q in:\n%s", status, want, out)
	}
}

func TestCommandErrors(t *testing.T) {
	t.Parallel()
	bob := harness.Up(t, pair()).Node("bob")
	if _, err := bob.Command("sh", "-c", "echo no >&2; exit 3").Output(); err == nil ||
		err.Error() != "node bob: run sh: exit status 3: no" {
		t.Error(err)
	}
	err := bob.Command("no-such-program").Run()
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "node bob: start no-such-program: ") {
		t.Error(err)
	}
	if err := bob.Command("/no/such/program").Run(); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
	cmd := bob.Command("sleep", "1000")
	if cmd.Pid() != 0 || cmd.Wait() == nil || cmd.Signal(unix.SIGTERM) == nil {
		t.Error("a command that was not started")
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if cmd.Start() == nil {
		t.Error("started twice")
	}
	if err := cmd.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "signal: terminated") {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("a second Wait forgot the error")
	}
}

// A daemon forks twice and gets away from its parent and its session.
const daemonize = `setsid sh -c 'sleep 1000 &' >/dev/null 2>&1 &`

// sleeper starts a daemon in a node and returns its process id out here.
func sleeper(t *testing.T, node *harness.Node) int {
	t.Helper()
	marker := fmt.Sprintf("1000.%d%d", os.Getpid(), time.Now().UnixNano()%1e9)
	if out, err := node.Command("sh", "-c", strings.ReplaceAll(daemonize, "1000", marker)).CombinedOutput(); err != nil {
		t.Fatalf("%s, %v", out, err)
	}
	for range 5000 {
		entries, err := os.ReadDir("/proc")
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			text, _ := os.ReadFile("/proc/" + entry.Name() + "/cmdline")
			if string(text) == "sleep\x00"+marker+"\x00" {
				pid, _ := strconv.Atoi(entry.Name())
				return pid
			}
		}
	}
	t.Fatal("the daemon is not there")
	return 0
}

func TestDaemonsDieWithTheLab(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, pair())
	pid := sleeper(t, lab.Node("bob"))
	waiting := lab.Node("alice").Command("sleep", "1000")
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	lab.Down()
	if alive(pid) {
		t.Error("the daemon outlived its lab")
	}
	if err := waiting.Wait(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Error(err)
	}
}

// alive says whether a process runs; one that only waits to be reaped does not.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func init() {
	fixtures["daemon"] = func(t *testing.T) {
		fmt.Println("\ndaemon", sleeper(t, harness.Up(t, pair()).Node("bob")))
		select {}
	}
}

func TestDaemonsDieWithASIGKILLOfTheTests(t *testing.T) {
	t.Parallel()
	for name, cmd := range map[string]*exec.Cmd{"same privilege": fixture("daemon"), "sandbox": unprivileged("daemon")} {
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
			t.Fatalf("%s: no daemon", name)
		}
		pidfd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		// A pidfd is readable when its process has ended.
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 5000)
		if err != nil || ready != 1 {
			t.Errorf("%s: the daemon outlived a SIGKILL of the tests: %d, %v", name, ready, err)
		}
		_ = unix.Close(pidfd)
	}
}
