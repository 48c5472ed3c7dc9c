package harness_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

func init() {
	fixtures["up"] = func(t *testing.T) {
		lab := harness.Up(t, pair())
		echo(t, lab.Node("bob"), 80)
		said, err := ask(t, lab.Node("alice"), lab.Node("bob").Addr(), 80)
		fmt.Printf("\nrootless=%v uid=%d said=%s err=%v\n", harness.Rootless(), os.Getuid(), said, err)
	}
	fixtures["exit"] = func(t *testing.T) { os.Exit(7) }
	fixtures["fail"] = func(t *testing.T) { t.Error("so it should") }
	fixtures["die"] = func(t *testing.T) {
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	}
	fixtures["hang"] = func(t *testing.T) {
		harness.Up(t, pair())
		select {}
	}
	fixtures["streams"] = func(t *testing.T) {
		input, _ := io.ReadAll(os.Stdin)
		dir, _ := os.Getwd()
		fmt.Fprintf(os.Stdout, "\nout %s %s\n", input, dir)
		fmt.Fprintln(os.Stderr, "err")
	}
	fixtures["signals"] = func(t *testing.T) {
		signals := make(chan os.Signal, 16)
		signal.Notify(signals, unix.SIGINT, unix.SIGUSR1)
		fmt.Println("\nready")
		for s := range signals {
			fmt.Println("got", s)
			if s == unix.SIGUSR1 {
				return
			}
		}
	}
	fixtures["artifacts"] = func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(t.ArtifactDir(), "note"), []byte("kept"), 0o644); err != nil {
			t.Error(err)
		}
	}
	fixtures["loopback"] = func(t *testing.T) {
		var own, first unix.Stat_t
		_ = unix.Stat("/proc/self/ns/net", &own)
		_ = unix.Stat("/proc/thread-self/ns/net", &first)
		fmt.Printf("\nnetns %d %d\n", own.Ino, first.Ino)
	}
}

func TestMainEntersTheSandbox(t *testing.T) {
	t.Parallel()
	out, status := outcome(t, unprivileged("up"))
	if want := "rootless=true uid=0 said=bob err=<nil>"; status != 0 || !strings.Contains(out, want) {
		t.Errorf("status %d, want %q in:\n%s", status, want, out)
	}
}

func TestMainStaysInTheMachinesNetwork(t *testing.T) {
	t.Parallel()
	var own unix.Stat_t
	_ = unix.Stat("/proc/self/ns/net", &own)
	out, status := outcome(t, unprivileged("loopback"))
	if want := fmt.Sprintf("netns %d %d\n", own.Ino, own.Ino); status != 0 || !strings.Contains(out, want) {
		t.Errorf("status %d, want %q in:\n%s", status, want, out)
	}
}

func TestMainHandsOnTheExitStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		args    []string
		privi   int // as privileged: -1 is death by a signal
		sandbox int
		says    string
	}{
		{"up", nil, 0, 0, "PASS"},
		{"fail", nil, 1, 1, "FAIL: TestFixture"},
		{"exit", nil, 7, 7, ""},
		{"die", nil, -1, 128 + 9, ""},
		{"hang", []string{"-test.timeout=300ms"}, 2, 2, "panic: test timed out after 300ms"},
		{"up", []string{"-test.v=test2json"}, 0, 0, "\x16=== RUN   TestFixture"},
		{"up", []string{"-test.nonsense"}, 2, 2, "flag provided but not defined"},
		{"up", []string{"-test.run=^$", "-test.list=Fixture"}, 0, 0, "TestFixture\nFuzzFixture"},
	} {
		for cmd, want := range map[*exec.Cmd]int{fixture(c.name, c.args...): c.privi, unprivileged(c.name, c.args...): c.sandbox} {
			out, status := outcome(t, cmd)
			if status != want || !strings.Contains(out, c.says) {
				t.Errorf("%s %v: status %d, want %d and %q in:\n%s", c.name, c.args, status, want, c.says, out)
			}
		}
	}
}

func TestMainHandsOnTheStreams(t *testing.T) {
	t.Parallel()
	cmd := unprivileged("streams")
	cmd.Stdin = strings.NewReader("in")
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	if want := "out in " + cmd.Dir; err != nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "err") {
		t.Errorf("want %q in:\n%s%v", want, out, err)
	}
}

func TestMainKeepsArtifacts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, status := outcome(t, unprivileged("artifacts", "-test.artifacts", "-test.outputdir="+dir)); status != 0 {
		t.Fatal(out)
	}
	found := false
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error {
		found = found || filepath.Base(path) == "note"
		return nil
	})
	if !found {
		t.Error("the artifact is gone")
	}
}

// A terminal's Ctrl-C goes to the whole foreground process group. The tests get
// it once, and a second time only for a second one.
func TestMainPassesEachSignalOnce(t *testing.T) {
	t.Parallel()
	cmd := unprivileged("signals")
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	expect := func(want string) {
		t.Helper()
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "got") || lines.Text() == "ready" {
				if lines.Text() != want {
					t.Errorf("%q, want %q", lines.Text(), want)
				}
				return
			}
		}
		t.Errorf("the end, want %q", want)
	}
	expect("ready")
	for range 2 {
		if err := unix.Kill(-cmd.Process.Pid, unix.SIGINT); err != nil {
			t.Fatal(err)
		}
		expect("got interrupt")
	}
	_ = cmd.Process.Signal(unix.SIGUSR1)
	expect("got user defined signal 1")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestUpWithoutMainAndPrivilege(t *testing.T) {
	t.Parallel()
	cmd := unprivileged("up")
	cmd.Env = append(cmd.Env, "NSTEST_SANDBOX=off")
	out, status := outcome(t, cmd)
	want := "up: network namespaces need privilege: let the package's TestMain enter the sandbox"
	if status != 1 || !strings.Contains(out, want) {
		t.Errorf("status %d, want %q in:\n%s", status, want, out)
	}
}

// The go command's own part in it: coverage and the fuzz engine's workers.
func TestMainUnderGoTest(t *testing.T) {
	harness.Require(t, harness.Tool("go"))
	t.Parallel()
	profile := filepath.Join(t.TempDir(), "cover.out")
	for name, args := range map[string][]string{
		"coverage": {"-run=^TestFixture$", "-coverprofile=" + profile},
		"fuzz":     {"-run=^$", "-fuzz=^FuzzFixture$", "-fuzztime=20x", "-parallel=2"},
	} {
		cmd := exec.Command("go", append([]string{"test", "-count=1"}, append(args, ".")...)...)
		cmd.Env = append(os.Environ(), fixtureVar+"="+map[string]string{"coverage": "up", "fuzz": "fuzz"}[name], dropVar+"=1", "NSTEST_SANDBOX=")
		out, status := outcome(t, cmd)
		if status != 0 || !strings.Contains(out, "ok ") {
			t.Errorf("%s: status %d:\n%s", name, status, out)
		}
	}
	text, err := os.ReadFile(profile)
	if err != nil || !strings.Contains(string(text), "harness/build.go") || !covered(string(text), "harness/build.go") {
		t.Errorf("no coverage came out of the sandbox: %v", err)
	}
}

// covered says whether a profile counts a statement of the file as run.
func covered(profile, file string) bool {
	for line := range strings.Lines(profile) {
		if strings.Contains(line, file) && strings.HasSuffix(line, " 1\n") {
			return true
		}
	}
	return false
}
