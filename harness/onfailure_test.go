package harness_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
)

func say(text string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, text); return err }
}

func init() {
	fixtures["registers"] = func(t *testing.T) {
		lab := harness.Up(t, pair())
		lab.OnFailure("captures/web 1.pcapng", say("frames"))
		lab.OnFailure("README.txt", say("not the index"))
		lab.OnFailure("twice.txt", say("first"))
		lab.OnFailure("twice.txt", say("second"))
		lab.OnFailure("../../outside", say("inside"))
		lab.OnFailure("still up", func(w io.Writer) error {
			down := false
			lab.OnDown(func() { down = true })
			return lab.Node("bob").Do(func() error { _, err := fmt.Fprint(w, !down); return err })
		})
		lab.OnFailure("error", func(w io.Writer) error { return errors.Join(say("half")(w), errors.New("no more paper")) })
		lab.OnFailure("panic", func(io.Writer) error { panic("out of ink") })
		lab.OnFailure("goexit", func(io.Writer) error { t.FailNow(); return nil })
		lab.OnFailure("none", nil)
		lab.OnFailure("last", say("last"))
		if os.Getenv("NSTEST_TEST_PASSES") == "" {
			t.Error("so it should")
		}
	}
}

func TestOnFailure(t *testing.T) {
	t.Parallel()
	root, out := bundleOf(t, fixture("registers"), 1)
	dir := filepath.Join(root, "harness", "TestFixture")
	for file, want := range map[string]string{
		"captures/web_1.pcapng": "frames", "README-2.txt": "not the index", "twice.txt": "first", "twice-2.txt": "second",
		"_/_/outside": "inside", "still_up": "true", "error": "half", "panic": "", "goexit": "", "last": "last",
	} {
		if text, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v; want %q", file, text, err, want)
		}
	}
	expect(t, dir+"/README.txt", "captures/web_1.pcapng", "twice-2.txt", "not all of it: no more paper\n", "not all of it: panic: out of ink\n",
		"not all of it: it gave up, as FailNow does\n", "not all of it: there is no function to call: it is nil")
	if strings.Count(out, "so it should") != 1 || strings.Count(out, "--- FAIL") != 1 || strings.Contains(out, "panic") {
		t.Errorf("the outcome is another:\n%s", out)
	}
}

func TestOnFailureIsNotAskedWhereNothingFailed(t *testing.T) {
	t.Parallel()
	asked := 0
	lab := harness.Up(t, pair())
	lab.OnFailure("file", func(io.Writer) error { asked++; return nil })
	lab.Down()
	lab.OnFailure("late", func(io.Writer) error { asked++; return nil })
	if asked != 0 {
		t.Errorf("asked %d times", asked)
	}
}
