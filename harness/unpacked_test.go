package harness_test

import (
	"os"
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
