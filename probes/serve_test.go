package probes_test

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// tenants have the same addresses; only a signature tells them apart.
func tenants(n int) *topo.Network {
	network := topo.New("tenants")
	for i := range n {
		wire := network.Wire(fmt.Sprintf("tenant-%d/lan", i), "10.0.0.0/24", "fd00::/64")
		network.Host(fmt.Sprintf("tenant-%d/client", i), wire)
		network.Host(fmt.Sprintf("tenant-%d/server", i), wire)
	}
	return network
}

func TestSignatureTellsOverlappingOwnersApart(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, tenants(3))
	for i := range 3 {
		probes.Serve(t, lab.Node(fmt.Sprintf("tenant-%d/server", i)), web, dns)
	}
	for i := range 3 {
		client, server := lab.Node(fmt.Sprintf("tenant-%d/client", i)), fmt.Sprintf("tenant-%d/server", i)
		for _, p := range []probes.Probe{web, dns} {
			for _, addr := range []string{"10.0.0.2", "fd00::2"} {
				r := ask(t, client, netip.MustParseAddr(addr), p)
				if r.Outcome != probes.Answered || r.By != server || !r.Proven {
					t.Errorf("%+v", r)
				}
			}
		}
		r := ask(t, client, netip.MustParseAddr("10.0.0.2"), icmp)
		if r.Outcome != probes.Answered || r.By != "" || r.Proven {
			t.Errorf("an echo reply has no signature: %+v", r)
		}
		if want := "answered by one of tenant-0/server, tenant-1/server, tenant-2/server"; !strings.Contains(r.String(), want) {
			t.Errorf("%q is not in %s", want, r)
		}
	}
}

func TestServeAnswersFromTheAddressThatWasAsked(t *testing.T) {
	t.Parallel()
	network := topo.New("multi")
	wire := network.Wire("wire", "10.0.0.0/24", "fd00::/64")
	network.Host("a", wire)
	network.Host("b", wire.At("10.0.0.7", "10.0.0.9", "fd00::9", "fd00::a")).Loopback("192.0.2.1/32")
	lab := harness.Up(t, network)
	probes.Serve(t, lab.Node("b"), dns)
	for _, addr := range []string{"10.0.0.7", "10.0.0.9", "fd00::9", "fd00::a", "192.0.2.1"} {
		if r := ask(t, lab.Node("a"), netip.MustParseAddr(addr), dns); r.Outcome != probes.Answered || r.By != "b" || !r.Proven {
			t.Errorf("%+v", r)
		}
	}
}

func TestServeMistakesFailTheTest(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	server := lab.Node("server")
	probes.Serve(t, server, web)
	for want, p := range map[string]probes.Probe{
		"serve tcp/80 at server: ":                                  web,
		"serve icmp at server: every kernel answers icmp by itself": icmp,
		"serve udp/0 at server: ":                                   probes.UDP(0),
	} {
		r := &recorder{TB: t}
		r.run(func() { probes.Serve(r, server, p) })
		if !strings.Contains(r.fatal, want) {
			t.Errorf("%q is not in %q", want, r.fatal)
		}
	}
}

// socketsIn counts the process's sockets that are in a node's namespace, also when the node
// is gone.
func socketsIn(t *testing.T, node *harness.Node) func() int {
	t.Helper()
	harness.Require(t, harness.Kernel(5, 14)) // SO_NETNS_COOKIE
	cookieOf := func(fd int) (uint64, error) { return unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE) }
	var cookie uint64
	if err := node.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		cookie, err = cookieOf(fd)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return func() (n int) {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			fd, err := strconv.Atoi(file.Name())
			if err != nil {
				t.Fatal(err)
			}
			if c, err := cookieOf(fd); err == nil && c == cookie {
				n++
			}
		}
		return n
	}
}

// A lab that goes down before the test ends takes its responders along: a socket of theirs
// would keep the namespace, and a test that builds many labs would run out of descriptors.
func TestServeEndsWithTheLab(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	server := lab.Node("server")
	left := socketsIn(t, server)
	probes.Serve(t, server, web, dns)
	if left() == 0 {
		t.Fatal("the control: no socket was found in the node's namespace")
	}
	lab.Down()
	if n := left(); n > 0 {
		t.Errorf("%d sockets are left in the namespace of a lab that is down", n)
	}
}

// recorder is a TB that notes a failure and ends the test that runs on it.
type recorder struct {
	testing.TB
	fatal string
}

func (r *recorder) Helper() {}
func (r *recorder) Fatalf(format string, args ...any) {
	r.fatal = fmt.Sprintf(format, args...)
	panic(r)
}

func (r *recorder) run(f func()) {
	defer func() {
		if p := recover(); p != nil && p != any(r) {
			panic(p)
		}
	}()
	f()
}
