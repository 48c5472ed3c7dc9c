package harness_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
)

func init() {
	fixtures["fails many times"] = func(t *testing.T) {
		for range 2 {
			t.Run("a/b c?", func(t *testing.T) {
				t.Parallel()
				harness.Up(t, pair())
				harness.Up(t, office())
				t.Error("so it should")
			})
		}
	}
	fixtures["falls elsewhere"] = func(t *testing.T) {
		harness.Up(elsewhere{t}, pair())
		t.Error("so it should")
	}
}

// elsewhere is like Ginkgo's: its artifact directory is a new one at each call, and
// its name is a sentence.
type elsewhere struct{ *testing.T }

func (e elsewhere) Name() string { return "the pair: can't talk, ever" }

func (e elsewhere) ArtifactDir() string {
	dir, err := os.MkdirTemp("", "elsewhere")
	if err != nil {
		e.Fatal(err)
	}
	return dir
}

// indexes are the bundles below a directory, by their indexes' paths.
func indexes(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Name() == "README.txt" {
			inside, _ := filepath.Rel(dir, filepath.Dir(path))
			found = append(found, inside)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	slices.Sort(found)
	return found
}

func TestBundlesDoNotOverwriteEachOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		cmd := fixture("fails many times")
		cmd.Env = append(cmd.Env, "NSTEST_ARTIFACTS="+dir)
		if out, status := outcome(t, cmd); status != 1 {
			t.Fatalf("status %d:\n%s", status, out)
		}
	}
	var want []string
	for _, sub := range []string{"a_b_c_", "a_b_c_-2", "a_b_c_-3", "a_b_c_-4", "a_b_c__01", "a_b_c__01-2", "a_b_c__01-3", "a_b_c__01-4"} {
		want = append(want, "harness/TestFixture_"+sub)
	}
	slices.Sort(want)
	if got := indexes(t, dir); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestBundleGoesWhereGoTestKeepsArtifacts(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"falls":           `^_artifacts/(harness/TestFixture/)?\d+/fire_wall$`,
		"falls elsewhere": `^_artifacts/harness/the_pair__can_t_talk,_ever$`,
	} {
		for _, cmd := range []*exec.Cmd{fixture(name, "-test.artifacts"), unprivileged(name, "-test.artifacts")} {
			dir, temporary := t.TempDir(), t.TempDir()
			cmd.Args = append(cmd.Args, "-test.outputdir="+dir)
			cmd.Env = append(cmd.Env, "TMPDIR="+temporary)
			out, status := outcome(t, cmd)
			got := indexes(t, dir)
			if status != 1 || len(got) != 1 || !regexp.MustCompile(want).MatchString(got[0]) || !strings.Contains(out, got[0]) {
				t.Errorf("%s: %q, want %s in:\n%s", name, got, want, out)
			}
			if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
				t.Errorf("%s: left in the temporary directory: %v, %v", name, left, err)
			}
		}
	}
}

// Neither is asked for, or what is asked for cannot be.
func TestBundleGoesIntoATemporaryDirectoryElse(t *testing.T) {
	t.Parallel()
	for _, asked := range []string{"", "/dev/null/artifacts"} {
		for _, cmd := range []*exec.Cmd{fixture("falls elsewhere"), unprivileged("falls elsewhere")} {
			temporary := t.TempDir()
			cmd.Env = append(cmd.Env, "TMPDIR="+temporary, "NSTEST_ARTIFACTS="+asked)
			out, status := outcome(t, cmd)
			got := indexes(t, temporary)
			want := regexp.MustCompile(`^nstest-the_pair__can_t_talk,_ever-\d+$`)
			if status != 1 || len(got) != 1 || !want.MatchString(got[0]) || !strings.Contains(out, filepath.Join(temporary, got[0])) {
				t.Errorf("%q: %q in:\n%s", asked, got, out)
			}
			if says := strings.Contains(out, "its bundle is in a temporary directory: "); says != (asked != "") {
				t.Errorf("%q: %s", asked, out)
			}
			expect(t, filepath.Join(temporary, got[0], "README.txt"), ` ./harness -ginkgo.focus='the pair: can'\''t talk, ever$'`)
		}
	}
}
