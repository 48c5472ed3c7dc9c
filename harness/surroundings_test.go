package harness_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

func init() {
	// As a container does: mounts of its own on a few files, which whoever has no
	// privilege over the container cannot take away.
	fixtures["container"] = func(t *testing.T) {
		hide := []string{"/etc/hosts", "/etc/hostname", "/proc/kcore", "/proc/keys", "/proc/timer_list"}
		for _, file := range hide {
			if _, err := os.Stat(file); err != nil {
				continue
			}
			if err := unix.Mount("/dev/null", file, "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Mount("tmpfs", "/var/log", "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		out, status := outcome(t, unprivileged("in a container", "-test.v"))
		fmt.Printf("\ninner status %d: %s", status, out)
	}
	fixtures["in a container"] = func(t *testing.T) {
		bob := harness.Up(t, pair()).Node("bob")
		out, err := bob.Command("sh", "-c", "cat /etc/hostname; grep alice /etc/hosts | head -n 1; "+
			"for file in /etc/x /var/lib/x /var/log/x /run/x; do echo $file >$file && cat $file; done; uname -n").CombinedOutput()
		fmt.Printf("\nsays %q, %v\n", out, err)
	}
}

func TestCommandsInAContainer(t *testing.T) {
	t.Parallel()
	out, status := outcome(t, unprivileged("container"))
	for _, want := range []string{
		`says "bob\n10.0.0.1 alice\n/etc/x\n/var/lib/x\n/var/log/x\n/run/x\nbob\n", <nil>`,
		"the commands of lab pair: they see the machine's processes: ", "--security-opt systempaths=unconfined",
		"the commands of lab pair: /var has the machine's directories without their files, ",
	} {
		if status != 0 || !strings.Contains(out, want) {
			t.Errorf("status %d, want %q in:\n%s", status, want, out)
		}
	}
}

func init() {
	fixtures["shares"] = func(t *testing.T) {
		dir := t.TempDir()
		out, err := harness.Up(t, pair()).Node("bob").Command("sh", "-c", "echo handed >"+dir+"/over; cat "+dir+"/over").CombinedOutput()
		text, _ := os.ReadFile(filepath.Join(dir, "over"))
		fmt.Printf("\n%s: says %q, %v, and handed over %q\n", dir, out, err, text)
	}
}

// A temporary directory is shared wherever it is.
func TestCommandsShareTheTestsFoldersWhereOthersAreHidden(t *testing.T) {
	t.Parallel()
	for _, parent := range []string{"/var/tmp", "/dev/shm"} {
		if info, err := os.Stat(parent); err != nil || !info.IsDir() {
			continue
		}
		dir, err := os.MkdirTemp(parent, "nstest")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		cmd := fixture("shares")
		cmd.Env = append(cmd.Env, "TMPDIR="+dir)
		out, status := outcome(t, cmd)
		if status != 0 || !strings.Contains(out, `says "handed\n", <nil>, and handed over "handed\n"`) || !strings.Contains(out, dir) {
			t.Errorf("status %d: %s", status, out)
		}
	}
}

// root is a directory as a package's: files by path.
func root(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, file := range files {
		write(t, filepath.Join(dir, file), file+" of "+filepath.Base(dir)+"\n")
	}
	return dir
}

func TestLayersAreTheNodesAlone(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.Overlay)
	lab := harness.Up(t, pair())
	alice, bob := lab.Node("alice"), lab.Node("bob")
	below := root(t, "etc/nstest/conf", "usr/share/nstest/file", "lib/nstest/file")
	above := root(t, "etc/nstest/conf", "var/lib/nstest/state", "usr/sbin/nstest-program")
	write(t, filepath.Join(above, "usr/sbin/nstest-program"), "#!/bin/sh\necho program\n")
	if err := os.Chmod(filepath.Join(above, "usr/sbin/nstest-program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{below, above} {
		if err := bob.Layer(dir); err != nil {
			t.Fatal(err)
		}
	}
	out, err := bob.Command("sh", "-euc", `cat /etc/nstest/conf /usr/share/nstest/file /lib/nstest/file /var/lib/nstest/state
		for dir in /etc /usr/share /var/lib; do echo changed >$dir/nstest/new; done; ls /usr/bin/env /etc/passwd`).CombinedOutput()
	want := fmt.Sprintf("etc/nstest/conf of %s\nusr/share/nstest/file of %[2]s\nlib/nstest/file of %[2]s\nvar/lib/nstest/state of %[1]s\n"+
		"/etc/passwd\n/usr/bin/env\n", filepath.Base(above), filepath.Base(below))
	if err != nil || string(out) != want {
		t.Errorf("%v, %s, want %s", err, out, want)
	}
	if out, err := bob.Command("nstest-program").CombinedOutput(); err != nil || string(out) != "program\n" {
		t.Errorf("a layer's program: %v, %s", err, out)
	}
	if out, err := alice.Command("ls", "/usr/share/nstest").CombinedOutput(); err == nil {
		t.Errorf("another node has it: %s", out)
	}
	for _, dir := range []string{below, above} {
		if new, _ := filepath.Glob(dir + "/*/*/new"); new != nil {
			t.Errorf("written to: %v", new)
		}
	}
	if err := bob.Layer(above); err == nil || !strings.Contains(err.Error(), "layers come before the first") {
		t.Errorf("after the first command: %v", err)
	}
}

func TestLayersThatAreNone(t *testing.T) {
	t.Parallel()
	bob := harness.Up(t, pair()).Node("bob")
	for _, dir := range []string{"", "/no/such/directory", "/dev/null"} {
		if err := bob.Layer(dir); err == nil || !strings.HasPrefix(err.Error(), "node bob: layer ") {
			t.Errorf("%q: %v", dir, err)
		}
	}
	if err := bob.Command("true").Run(); err != nil {
		t.Error(err)
	}
	var fault *harness.Error
	if err := bob.Layer(t.TempDir()); !errors.As(err, &fault) {
		t.Error(err)
	}
}
