package harness_test

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/nstest/nstest/harness"
)

// What a test may leave behind, each in a process of its own; what holds it ends
// with that process.
func init() {
	fixtures["leaves a lab"] = func(t *testing.T) { harness.Up(forgetful{t}, pair()) }
	fixtures["leaves a descriptor"] = func(t *testing.T) {
		file, err := os.Open(harness.Up(t, pair()).Node("bob").Path())
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, file)
	}
	fixtures["leaves a socket"] = func(t *testing.T) {
		conn, err := harness.Up(t, pair()).Node("bob").ListenPacket(t.Context(), "udp", anyPort)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, conn)
	}
	fixtures["leaves a thread"] = func(t *testing.T) {
		entered := make(chan bool)
		bob := harness.Up(t, pair()).Node("bob")
		go func() { _ = bob.Do(func() error { entered <- true; select {} }) }()
		<-entered // and Down does not wait for it
	}
	fixtures["leaves a process"] = func(t *testing.T) {
		cat := exec.Command("cat")
		input, err := cat.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cat.Start(); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, input)
	}
}

var kept []io.Closer

// forgetful is a test whose clean-up never runs.
type forgetful struct{ harness.TB }

func (forgetful) Cleanup(func()) {}

func TestMainTellsWhatWasLeftBehind(t *testing.T) {
	t.Parallel()
	var running sync.WaitGroup // each waits for three seconds that what is ending ends
	for name, want := range map[string]string{
		"leaves a lab":        "lab pair is still up",
		"leaves a descriptor": ": network namespace net:[",
		"leaves a socket":     ": a socket in network namespace ",
		"leaves a thread":     " is in network namespace ",
		"leaves a process":    ": cat",
	} {
		for _, cmd := range []*exec.Cmd{fixture(name), unprivileged(name)} {
			running.Go(func() {
				out, err := cmd.CombinedOutput()
				if status := cmd.ProcessState.ExitCode(); status != 1 || !strings.Contains(string(out), "nstest: the tests left behind:") || !strings.Contains(string(out), want) {
					t.Errorf("%s: %v, want %q in:\n%s", name, err, want, out)
				}
			})
		}
	}
	running.Wait()
}
