package harness_test

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

func TestNilIsAnErrorAndNoPanic(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, pair())
	bob := lab.Node("bob")
	nodes := []*harness.Node{bob, nil}
	for what, err := range map[string]error{
		"Do":                   bob.Do(nil),
		"Nftables":             bob.Nftables((func(*nftables.Conn) error)(nil)),
		"Visit":                harness.Visit(nodes, nil),
		"Visit without a node": harness.Visit(nodes, func(*harness.Node) error { return nil }),
		"Visit nobody first":   harness.Visit([]*harness.Node{nil}, func(*harness.Node) error { return nil }),
	} {
		if err == nil || !strings.Contains(err.Error(), "there is no ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	r := record(t, func(tb harness.TB) { harness.Require(tb, harness.Feature{}) })
	if r.skip != "" || !strings.Contains(r.fatal, "a zero Feature is none") {
		t.Errorf("a zero Feature: fatal %q, skip %q", r.fatal, r.skip)
	}
	if r := record(t, func(tb harness.TB) { harness.Up(tb, nil) }); r.fatal == "" {
		t.Error("nothing is up")
	}
	lab.OnDown(nil)
	lab.OnFailure("nothing", (func(io.Writer) error)(nil))
	lab.Down()
	lab.OnDown(nil)
}

// As a BeforeEach leaves them whose Up failed, for an AfterEach to use.
func TestANilLabIsDown(t *testing.T) {
	t.Parallel()
	var lab *harness.Lab
	bob := lab.Node("bob")
	if nodes := lab.Nodes(); bob != nil || len(nodes) > 0 {
		t.Errorf("it has nodes: %v, %v", bob, nodes)
	}
	_, err := bob.Dial(t.Context(), "tcp", netip.MustParseAddrPort("10.0.1.1:80"))
	const want = "node (none): it is nil, or none of a lab: take a lab from Up, a node from Lab.Node, a port from Node.Port, an Open vSwitch from Lab.OVS"
	if err == nil || err.Error() != want {
		t.Errorf("its nodes can dial: %v", err)
	}
	ended := false
	if lab.OnDown(func() { ended = true }); !ended {
		t.Error("it is not down")
	}
	if _, err := bob.Netlink().LinkList(); err == nil {
		t.Error("its nodes have a netlink handle: the machine's")
	}
	lab.Down()
}

func TestDownGoesOnWhereOnDownPanics(t *testing.T) {
	t.Parallel()
	for what, stop := range map[string]func(){"a panic": func() { panic("oh") }, "a FailNow": runtime.Goexit} {
		lab := harness.Up(t, pair())
		bob := lab.Node("bob")
		pid := sleeper(t, bob)
		var ran string
		lab.OnDown(func() { ran += "first" })
		lab.OnDown(stop)
		lab.OnDown(func() { ran += "last, " })
		done := make(chan any)
		go func() {
			defer func() { done <- recover() }()
			lab.Down()
		}()
		if said := <-done; what == "a panic" && said != "oh" {
			t.Errorf("it panicked with %v", said)
		}
		if ran != "last, first" || alive(pid) || bob.Do(func() error { return nil }) == nil {
			t.Errorf("%s: ran %q; a daemon is left: %v", what, ran, alive(pid))
		}
	}
}

func init() {
	fixtures["hangs up"] = func(t *testing.T) {
		if err := unix.Kill(unix.Getppid(), unix.SIGHUP); err != nil {
			t.Error(err)
		}
		if err := unix.Kill(unix.Getpid(), unix.SIGHUP); err != nil {
			t.Error(err)
		}
		fmt.Println("\nhung up, and goes on")
	}
}

func TestNohupHolds(t *testing.T) {
	t.Parallel()
	cmd := unprivileged("hangs up")
	cmd.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path = sh
	// /proc/self/exe is another by then.
	if cmd.Args[3], err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	out, status := outcome(t, cmd)
	if status != 0 || !strings.Contains(out, "hung up, and goes on") {
		t.Errorf("status %d: %s", status, out)
	}
}

func init() {
	fixtures["first process"] = func(t *testing.T) {
		lab := harness.Up(t, pair())
		out, err := lab.Node("bob").Command("sh", "-c", daemonize+" echo said").CombinedOutput()
		fmt.Printf("\nprocess %d: %q, %v\n", unix.Getpid(), out, err)
	}
}

// As in a container whose first process is the test binary.
func TestTheFirstProcessOfAContainer(t *testing.T) {
	t.Parallel()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, cmd := range map[string]*exec.Cmd{"same privilege": fixture("first process"), "sandbox": unprivileged("first process")} {
		sh, err := exec.LookPath("sh")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Args = append([]string{"sh", "-ec", `mount -n -t proc proc /proc; exec "$0" "$@"`, path}, cmd.Args[1:]...)
		cmd.Path = sh
		cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS}
		out, status := outcome(t, cmd)
		if status != 0 || !strings.Contains(out, `: "said\n", <nil>`) || strings.Contains(out, "left behind") {
			t.Errorf("%s: status %d: %s", name, status, out)
		}
	}
}
