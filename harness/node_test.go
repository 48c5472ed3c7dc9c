package harness_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// here is the inode of the calling thread's network namespace.
func here() uint64 {
	var stat unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/net", &stat) != nil {
		return 0
	}
	return stat.Ino
}

func TestDoRunsInTheNamespace(t *testing.T) {
	t.Parallel()
	bob := harness.Up(t, pair()).Node("bob")
	outside := here()
	for range 3 {
		var within uint64
		if err := bob.Do(func() error { within = here(); return nil }); err != nil {
			t.Fatal(err)
		}
		if within != bob.Inode() {
			t.Errorf("Do ran in %d, not in %d", within, bob.Inode())
		}
	}
	if here() != outside {
		t.Error("Do changed its caller's namespace")
	}
}

func TestDoNestsAndBlocks(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, pair())
	alice, bob := lab.Node("alice"), lab.Node("bob")
	err := alice.Do(func() error {
		return bob.Do(func() error {
			return alice.Do(func() error {
				if here() != alice.Inode() {
					return errors.New("the inner Do is elsewhere")
				}
				return nil
			})
		})
	})
	if err != nil {
		t.Error(err)
	}
	release, blocked := make(chan bool), make(chan bool)
	var working sync.WaitGroup
	for range 4 {
		working.Go(func() {
			_ = alice.Do(func() error { blocked <- true; <-release; return nil })
		})
	}
	for range 4 {
		<-blocked // all four are inside at once
	}
	close(release)
	working.Wait()
}

func TestDoHandsOnErrorsPanicsAndGoexit(t *testing.T) {
	t.Parallel()
	bob := harness.Up(t, pair()).Node("bob")
	if err := bob.Do(func() error { return io.ErrUnexpectedEOF }); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
	func() {
		defer func() {
			if p := recover(); p != "boom" {
				t.Errorf("recovered %v", p)
			}
		}()
		_ = bob.Do(func() error { panic("boom") })
	}()
	done, returned := make(chan bool), false
	go func() {
		defer close(done)
		_ = bob.Do(func() error { runtime.Goexit(); return nil })
		returned = true
	}()
	<-done
	if returned {
		t.Error("Do returned after a Goexit")
	}
	if err := bob.Do(func() error { return nil }); err != nil {
		t.Error("after a Goexit: ", err)
	}
}

func TestNoLabThreadIsTheMainThread(t *testing.T) {
	bob := harness.Up(t, pair()).Node("bob")
	for range 200 {
		done := make(chan int)
		go func() {
			_ = bob.Do(func() error {
				return bob.Do(func() error { done <- unix.Gettid(); return nil })
			})
		}()
		if tid := <-done; tid == unix.Getpid() {
			t.Fatal("the main thread is in a lab's namespace")
		}
	}
}

func TestVisitStepsThroughTheNodes(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office())
	var visited []string
	err := harness.Visit(lab.Nodes(), func(node *harness.Node) error {
		if here() != node.Inode() {
			t.Errorf("node %s is visited elsewhere", node)
		}
		visited = append(visited, node.Name())
		return nil
	})
	if err != nil || len(visited) != 3 {
		t.Error(visited, err)
	}
	boom := errors.New("boom")
	if err := harness.Visit(lab.Nodes(), func(*harness.Node) error { return boom }); err != boom {
		t.Error(err)
	}
	if err := harness.Visit(nil, nil); err != nil {
		t.Error(err)
	}
}

func TestSocketsAreUsedFromAnywhere(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, pair())
	alice, bob := lab.Node("alice"), lab.Node("bob")
	server, err := bob.ListenPacket(t.Context(), "udp", netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	port := netip.MustParseAddrPort(server.LocalAddr().String()).Port()
	conn, err := alice.Dial(t.Context(), "udp", netip.AddrPortFrom(bob.Addr(), port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	n, from, err := server.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "hello" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if got := netip.MustParseAddrPort(from.String()).Addr().Unmap(); got != alice.Addr() {
		t.Errorf("it came from %s, not from %s", got, alice.Addr())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := alice.Dial(ctx, "tcp", netip.AddrPortFrom(bob.Addr(), 1)); !errors.Is(err, context.Canceled) {
		t.Error("dial with a context that is over: ", err)
	}
}

func TestNetlinkIsOpenedOnce(t *testing.T) {
	t.Parallel()
	bob := harness.Up(t, pair()).Node("bob")
	if first, second := bob.Netlink(), bob.Netlink(); first != second {
		t.Error("two handles")
	}
	links, err := bob.Netlink().LinkList()
	if err != nil || len(links) != 2 {
		t.Error(links, err)
	}
}

func TestPathIsTheNamespace(t *testing.T) {
	t.Parallel()
	bob := harness.Up(t, pair()).Node("bob")
	var stat unix.Stat_t
	if err := unix.Stat(bob.Path(), &stat); err != nil || stat.Ino != bob.Inode() {
		t.Error(stat.Ino, bob.Inode(), err)
	}
	out, err := bob.Command("readlink", "/proc/self/ns/net").Output()
	if want := "net:[" + itoa(bob.Inode()) + "]\n"; err != nil || string(out) != want {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
}

func TestAttach(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, pair())
	alice, bob := lab.Node("alice"), lab.Node("bob")
	echo(t, bob, 80)
	other := harness.Attach(t, "other", alice.Path())
	if other.Inode() != alice.Inode() || other.Name() != "other" {
		t.Error(other.Inode(), alice.Inode())
	}
	if said, err := ask(t, other, bob.Addr(), 80); err != nil || said != "bob" {
		t.Errorf("%q, %v", said, err)
	}
	if out, err := other.Command("cat", "/sys/class/net/wire/ifindex").Output(); err != nil || string(out) != strconv.Itoa(topo.FirstIndex)+"\n" {
		t.Errorf("%q, %v", out, err)
	}
	other.Lab().Down()
	if said, err := ask(t, alice, bob.Addr(), 80); err != nil || said != "bob" {
		t.Errorf("after the attached node went: %q, %v", said, err)
	}
	for path, want := range map[string]string{
		"/run/netns/nobody":  "attach x: open /run/netns/nobody: no such file or directory",
		"/proc/self/ns/pid":  "attach x: /proc/self/ns/pid is no network namespace",
		"/proc/version":      "attach x: /proc/version is no network namespace",
		"/proc/1/ns/network": "attach x: open /proc/1/ns/network: no such file or directory",
	} {
		r := record(t, func(tb harness.TB) { harness.Attach(tb, "x", path) })
		if r.fatal != want {
			t.Errorf("got %q, want %q", r.fatal, want)
		}
	}
}

// The process's own namespace is the machine's: only root may enter it.
func TestAttachToTheMachineNeedsPrivilege(t *testing.T) {
	t.Parallel()
	var stat unix.Stat_t
	_ = unix.Stat("/proc/self/ns/net", &stat)
	var own *harness.Node
	r := record(t, func(tb harness.TB) { own = harness.Attach(tb, "machine", "/proc/self/ns/net") })
	if !harness.Rootless() {
		if r.fatal != "" || own.Inode() != stat.Ino {
			t.Error(r.fatal)
		}
		return
	}
	if want := "attach machine: entering a namespace of the machine needs privilege over it: run the tests as root"; r.fatal != want {
		t.Errorf("got %q, want %q", r.fatal, want)
	}
}
