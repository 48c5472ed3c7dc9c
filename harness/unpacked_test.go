package harness_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
)

func TestUnpackedPackagesAreRequiredEachByItself(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("NSTEST_STRICT", "1")
	t.Setenv("NSTEST_MISSING", "packages")
	root, err := harness.PackageRoot("there")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	went := false
	record(t, func(tb harness.TB) { harness.Require(tb, harness.Unpacked("there")); went = true })
	if !went {
		t.Error("an unpacked package is missing")
	}
	r := record(t, func(tb harness.TB) { harness.Require(tb, harness.Unpacked("there", "elsewhere")) })
	if r.fatal != "" || !strings.Contains(r.skip, "require packages: elsewhere is not unpacked: .ci/unpack elsewhere") {
		t.Errorf("fatal %q, skip %q", r.fatal, r.skip)
	}
	t.Setenv("NSTEST_MISSING", "")
	if r := record(t, func(tb harness.TB) { harness.Require(tb, harness.Unpacked("elsewhere")) }); r.skip != "" || r.fatal == "" {
		t.Errorf("fatal %q, skip %q", r.fatal, r.skip)
	}
}

func TestPackageRootWithoutACache(t *testing.T) {
	t.Setenv("NSTEST_STRICT", "")
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	if _, err := harness.PackageRoot("ufw"); err == nil || !strings.HasPrefix(err.Error(), "package ufw: ") {
		t.Error(err)
	}
	r := record(t, func(tb harness.TB) { harness.Require(tb, harness.Unpacked("homeless")) })
	if r.skip == "" {
		t.Errorf("fatal %q, skip %q", r.fatal, r.skip)
	}
}

// archive is an apt repository of its own: packages that depend on one another, and
// the configuration with which apt knows no other.
func archive(t *testing.T, depends map[string]string) (aptConfig string) {
	t.Helper()
	dir := t.TempDir()
	var index strings.Builder
	for name, on := range depends {
		files := filepath.Join(dir, name)
		control := fmt.Sprintf("Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDepends: %s\nDescription: a package\n", name, on)
		write(t, filepath.Join(files, "DEBIAN", "control"), control)
		write(t, filepath.Join(files, "usr", "share", name, "file"), name)
		deb := files + "_1_all.deb"
		if out, err := exec.Command("dpkg-deb", "--build", "--root-owner-group", files, deb).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		content, err := os.ReadFile(deb)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&index, "%sFilename: ./%s\nSize: %d\nSHA256: %x\n\n", control, filepath.Base(deb), len(content), sha256.Sum256(content))
	}
	write(t, filepath.Join(dir, "Packages"), index.String())
	write(t, filepath.Join(dir, "sources.list"), "deb [trusted=yes] file:"+dir+" ./\n")
	aptConfig = filepath.Join(dir, "apt.conf")
	write(t, aptConfig, fmt.Sprintf("Dir::Etc::sourcelist %q;\nDir::Etc::sourceparts \"-\";\n", filepath.Join(dir, "sources.list")))
	return aptConfig
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// unpacker is a cache of its own, and an archive with nstest-one, which depends on
// nstest-two, and nstest-three.
type unpacker struct {
	t    *testing.T
	root string // of nstest-one
}

func newUnpacker(t *testing.T) unpacker {
	t.Helper()
	harness.Require(t, harness.Tool("apt-get"), harness.Tool("dpkg-deb"))
	t.Setenv("APT_CONFIG", archive(t, map[string]string{"nstest-one": "dpkg, nstest-two", "nstest-two": "dpkg", "nstest-three": "dpkg"}))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	root, err := harness.PackageRoot("nstest-one")
	if err != nil {
		t.Fatal(err)
	}
	return unpacker{t, root}
}

func (u unpacker) unpack(names ...string) string {
	u.t.Helper()
	out, err := exec.Command("../.ci/unpack", names...).CombinedOutput()
	if err != nil {
		u.t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// has says whether the root has a file, and wants it so.
func (u unpacker) has(want bool, name string) {
	u.t.Helper()
	if _, err := os.Stat(filepath.Join(u.root, name)); (err == nil) != want {
		u.t.Errorf("%s is there: %v, want %v", name, err == nil, want)
	}
}

func TestUnpackTakesAPackageWithWhatTheMachineLacks(t *testing.T) {
	u := newUnpacker(t)
	const database = "/var/lib/dpkg/status"
	before, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(filepath.Dir(u.root), ".unpack.killed", "file"), "")
	u.unpack("nstest-one")
	u.has(true, "usr/share/nstest-one/file")
	u.has(true, "usr/share/nstest-two/file")
	u.has(false, "usr/share/nstest-three")
	u.has(false, "usr/bin/dpkg")
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(u.root), ".unpack.*")); left != nil {
		t.Errorf("left: %v", left)
	}
	if after, err := os.ReadFile(database); err != nil || string(after) != string(before) {
		t.Errorf("the machine's packages have changed: %v", err)
	}
}

func TestUnpackLeavesWhatIsThereUnlessOfAnotherRelease(t *testing.T) {
	u := newUnpacker(t)
	u.unpack("nstest-one")
	if out := u.unpack("nstest-one", "nstest-three"); strings.Contains(out, "nstest-one") || !strings.Contains(out, "nstest-three") {
		t.Errorf("unpacked again: %s", out)
	}
	write(t, filepath.Join(u.root, ".release"), "another")
	write(t, filepath.Join(u.root, "old"), "")
	u.unpack("nstest-one")
	u.has(true, "usr/share/nstest-two/file")
	u.has(false, "old")
}

func TestUnpackNamesWhatCannotBeHad(t *testing.T) {
	newUnpacker(t)
	out, err := exec.Command("../.ci/unpack", "nstest-four").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "nstest-four") {
		t.Errorf("%v: %s", err, out)
	}
}
