package harness_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// listenVar makes this binary a program that listens at an address, after it has said so.
const listenVar = "NSTEST_TEST_LISTEN"

func init() {
	if addr := os.Getenv(listenVar); addr != "" {
		listener, err := net.Listen("tcp", addr)
		fmt.Println("listens", err)
		for err == nil {
			_, err = listener.Accept()
		}
		os.Exit(1)
	}
}

// listener is a program that listens.
func listener(t *testing.T, node *harness.Node, addr string) *harness.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := node.Command(path)
	cmd.Env = append(os.Environ(), listenVar+"="+addr)
	return cmd
}

func TestStartReturnsWhenTheProgramIsReady(t *testing.T) {
	t.Parallel()
	bob := harness.Up(t, pair()).Node("bob")
	var asked int
	log := harness.Start(t, bob.Command("sh", "-c", "echo begins; echo ready to serve >&2; : >/run/program.pid; exec sleep 1000"),
		harness.Printed("^begins\nready to (serve|die)"), harness.Exists("/run/program.pid"),
		harness.When(func() error {
			if asked++; asked < 3 {
				return errors.New("not yet")
			}
			return nil
		}))
	if log.String() != "begins\nready to serve\n" || asked != 3 {
		t.Errorf("it said %q; asked %d times", log, asked)
	}
	harness.Start(t, listener(t, bob, "127.0.0.1:80"), harness.Listening("tcp", 80))
	harness.Start(t, listener(t, bob, "[::1]:81"), harness.Listening("tcp", 81))
	for port := range uint16(2) {
		fatal, _ := mourn(t, func(tb harness.TB) { harness.Start(tb, bob.Command("true"), harness.Listening("tcp", 80+port)) })
		if !strings.Contains(fatal, "already") {
			t.Errorf("nobody listened at %d when Start returned: %q", 80+port, fatal)
		}
	}
}

// mourner is a recorder of errors too.
type mourner struct {
	*recorder
	mu     sync.Mutex
	errors string
}

func (m *mourner) Errorf(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.errors += fmt.Sprintf(format, args...)
}

// mourn runs f with a mourner, and returns what it was told.
func mourn(t *testing.T, f func(tb harness.TB)) (fatal, errors string) {
	t.Helper()
	m := &mourner{}
	m.recorder = record(t, func(tb harness.TB) {
		m.recorder = tb.(*recorder)
		f(m)
	})
	return m.fatal, m.errors
}

func TestStartFailsTheTestWhenTheProgramIsNotReady(t *testing.T) {
	t.Parallel()
	bob := harness.Up(t, pair()).Node("bob")
	harness.Start(t, listener(t, bob, ":83"), harness.Listening("tcp", 83))
	for want, c := range map[string]struct {
		script string
		ready  harness.Ready
	}{
		"it ended before it was ready: exit status 3; it said last:\n\tfirst\n\tlast": {"echo first; echo last >&2; exit 3", harness.Listening("tcp", 80)},
		"it ended before it was ready: signal: killed; it said nothing":               {"kill -9 $$", harness.Exists("/no")},
		"(5 lines before)\n\t6\n": {"seq 25; exit 1", harness.Printed("26")},
		"it is not ready after 20ms: listening at udp/80: nobody does; it said nothing": {"exec sleep 1000", harness.Listening("udp", 80).Within(20 * time.Millisecond)},
		"it is not ready after 1ms: a file /no: no such file or directory":              {"exec sleep 1000", harness.Exists("/no").Within(time.Millisecond)},
		`it is not ready after 20ms: printing "x": it has not`:                          {"true", harness.Printed("x").Within(20 * time.Millisecond)},
		"somebody listens at tcp/83 already":                                            {"true", harness.Listening("tcp", 83)},
		"listening at \"sctp\": that is neither":                                        {"true", harness.Listening("sctp", 80)},
		"error parsing regexp":                                                          {"true", harness.Printed("(")},
		"path \"x\" is not absolute":                                                    {"true", harness.Exists("x")},
		"a When without a function":                                                     {"true", harness.When(nil)},
		"a Ready is made by":                                                            {"true", harness.Ready{}},
	} {
		fatal, errs := mourn(t, func(tb harness.TB) { harness.Start(tb, bob.Command("sh", "-c", c.script), c.ready) })
		if !strings.HasPrefix(fatal, "node bob: start sh: ") || !strings.Contains(fatal, want) || errs != "" {
			t.Errorf("fatal %q, errors %q, want %q", fatal, errs, want)
		}
	}
	for _, cmd := range []*harness.Cmd{nil, {}, {Path: "true"}, bob.Command(""), bob.Command("no-such-program")} {
		if fatal, _ := mourn(t, func(tb harness.TB) { harness.Start(tb, cmd) }); fatal == "" {
			t.Errorf("%v starts", cmd)
		}
	}
}

func TestAProgramThatDiesFailsTheTest(t *testing.T) {
	t.Parallel()
	bob := harness.Up(t, pair()).Node("bob")
	die := func(after func(*harness.Cmd)) string {
		cmd := bob.Command("sh", "-c", "echo last words; read line; exit 4")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		ended := false
		fatal, errs := mourn(t, func(tb harness.TB) {
			harness.Start(tb, cmd, harness.Printed("words"))
			after(cmd)
			_ = in.Close()
			for deadline := time.Now().Add(bound); !ended && time.Now().Before(deadline); { // Wait would say that its end is expected
				ended = !alive(cmd.Pid())
			}
		})
		if fatal != "" || !ended {
			t.Fatalf("%s; it has ended: %v", fatal, ended)
		}
		return errs
	}
	if errs := die(func(*harness.Cmd) {}); errs != "node bob: sh: it died during the test: exit status 4; it said last:\n\tlast words" {
		t.Errorf("it died: %q", errs)
	}
	if errs := die(func(cmd *harness.Cmd) { _ = cmd.Signal(unix.SIGTERM) }); errs != "" {
		t.Errorf("the test ended it: %q", errs)
	}
}

func TestWhatGoesIntoTheBackgroundGoesOnTalking(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, pair())
	bob := lab.Node("bob")
	log := harness.Start(t, bob.Command("sh", "-c", "mkfifo /run/fifo; setsid sh -c 'read line </run/fifo; echo $line; exec sleep 1000' &"),
		harness.Exists("/run/fifo"))
	// Longer than any other command's output is waited for.
	over := time.Now().Add(1500 * time.Millisecond)
	harness.Start(t, bob.Command("sh", "-c", "sleep 2; echo hello >/run/fifo"), harness.When(func() error {
		if time.Now().Before(over) || log.String() != "hello\n" {
			return fmt.Errorf("said %q", log)
		}
		return nil
	}))
	inTime(t, "Down", lab.Down)
}

func init() {
	fixtures["program"] = func(t *testing.T) {
		harness.Start(t, harness.Up(t, pair()).Node("bob").Command("sh", "-c", "echo what it said; exec sleep 1000"), harness.Printed("said"))
		t.Error("fails")
	}
}

func TestTheBundleHasWhatProgramsSaid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := fixture("program")
	cmd.Env = append(cmd.Env, "NSTEST_ARTIFACTS="+dir)
	out, status := outcome(t, cmd)
	var text string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Base(path) == "bob-sh.log" {
			said, err := os.ReadFile(path)
			text = string(said)
			return err
		}
		return err
	})
	if status == 0 || err != nil || text != "what it said\n" {
		t.Errorf("status %d, %v, %q: %s", status, err, text, out)
	}
}
