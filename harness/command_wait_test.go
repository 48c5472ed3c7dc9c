package harness_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
)

// bound is how long anything here may take on a busy machine: what hangs, hangs for ever.
const bound = 20 * time.Second

// inTime runs f, which must not hang.
func inTime(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(bound):
		t.Fatalf("%s hangs", what)
	}
}

func TestOutputReturnsWhateverTheProgramLeavesBehind(t *testing.T) {
	t.Parallel()
	bob := harness.Up(t, pair()).Node("bob")
	inTime(t, "Output", func() {
		out, err := bob.Command("sh", "-c", "echo said; sleep 1000 &").Output()
		if string(out) != "said\n" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
	})
	inTime(t, "a command with a WaitDelay", func() {
		cmd := bob.Command("sh", "-c", "echo said; sleep 1000 &")
		cmd.WaitDelay = time.Millisecond
		if _, err := cmd.Output(); !errors.Is(err, exec.ErrWaitDelay) {
			t.Errorf("%v, want exec.ErrWaitDelay", err)
		}
	})
}

// stuck never ends, whether it is read or written.
type stuck struct{ over chan struct{} }

func (s stuck) Read([]byte) (int, error)  { <-s.over; return 0, io.EOF }
func (s stuck) Write([]byte) (int, error) { <-s.over; return 0, io.ErrClosedPipe }

func TestDownDoesNotWaitForTheStreamsOfCommands(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, pair())
	forever := stuck{make(chan struct{})}
	defer close(forever.over)
	for _, node := range lab.Nodes() {
		cmd := node.Command("sh", "-c", "while :; do echo talks; done")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = forever, forever, forever
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	inTime(t, "Down", lab.Down)
}

func TestCommandEndsWithItsContext(t *testing.T) {
	t.Parallel()
	bob := harness.Up(t, pair()).Node("bob")
	ctx, cancel := context.WithCancel(t.Context())
	cmd := bob.CommandContext(ctx, "sh", "-c", "sleep 1000 & echo began; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "began" {
		t.Fatalf("%q, %v", lines.Text(), lines.Err())
	}
	cancel()
	inTime(t, "a command whose context is over", func() {
		if lines.Scan() { // its child is gone as well: nobody holds the pipe
			t.Errorf("it says %q", lines.Text())
		}
		if err := cmd.Wait(); err == nil {
			t.Error("it ended without an error")
		}
	})
	over, end := context.WithCancel(t.Context())
	end()
	if err := bob.CommandContext(over, "true").Run(); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}

func TestCommandPipesAndExtraFiles(t *testing.T) {
	t.Parallel()
	bob := harness.Up(t, pair()).Node("bob")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd := bob.Command("sh", "-c", "cat; echo extra >&3")
	cmd.ExtraFiles = []*os.File{write}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdoutPipe(); err == nil {
		t.Error("a second pipe from one stream")
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	if _, err := io.WriteString(in, "through"); err != nil {
		t.Error(err)
	}
	_ = in.Close()
	inTime(t, "reading", func() {
		for from, want := range map[io.Reader]string{out: "through", read: "extra\n"} {
			if got, err := io.ReadAll(from); string(got) != want || err != nil {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		}
	})
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestACmdOfNobodyIsAnError(t *testing.T) {
	if (&harness.Cmd{}).Run() == nil || (&harness.Cmd{Path: "true"}).Start() == nil {
		t.Error("a Cmd without a node runs")
	}
	if harness.Up(t, pair()).Node("bob").Command("").Run() == nil {
		t.Error("a Cmd without a program runs")
	}
}

func TestNobodyElseIsALabsInit(t *testing.T) {
	t.Parallel()
	cmd := fixture("passes")
	cmd.Env = append(cmd.Environ(), "NSTEST_LAB_INIT=1")
	out, status := outcome(t, cmd)
	if status != 0 || !strings.Contains(out, "the fixture ran") {
		t.Errorf("with NSTEST_LAB_INIT set by hand: status %d, %q", status, out)
	}
}

func init() {
	fixtures["passes"] = func(*testing.T) { fmt.Println("\nthe fixture ran") }
}
