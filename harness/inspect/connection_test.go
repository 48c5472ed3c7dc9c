package inspect_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/onsi/gomega"
)

// in calls f in a node's namespace.
func in[T any](t *testing.T, node *harness.Node, f func() (T, error)) (found T) {
	t.Helper()
	must(t, node.Do(func() (err error) {
		found, err = f()
		return err
	}))
	return found
}

// connected says whether there is a connection of which nothing waits to be read.
func connected(local, remote netip.AddrPort) (bool, error) {
	there, unread, err := inspect.Connected(local, remote)
	return there && unread == 0, err
}

func TestConnectionsOfBothEnds(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(plain))
	client, server := lab.Node("client"), lab.Node("server")
	listener, err := server.Listen(t.Context(), "tcp", netip.AddrPortFrom(netip.Addr{}, 80))
	must(t, err)
	defer listener.Close()
	for _, addr := range []netip.Addr{server4, server6} {
		to := netip.AddrPortFrom(addr, 80)
		conn, err := client.Dial(t.Context(), "tcp", to)
		must(t, err)
		peer, err := listener.Accept()
		must(t, err)
		ours := conn.LocalAddr().(*net.TCPAddr).AddrPort()
		for _, c := range []struct {
			node          *harness.Node
			local, remote netip.AddrPort
			want          bool
		}{
			{server, to, ours, true},
			{client, ours, to, true},
			{server, ours, to, false}, // which is the other's
			{server, to, netip.AddrPortFrom(ours.Addr(), ours.Port()^1), false}, // a listener is no connection
			{lab.Node("fw"), to, ours, false},
		} {
			if got := in(t, c.node, func() (bool, error) { return connected(c.local, c.remote) }); got != c.want {
				t.Errorf("%s: %s to %s is %v", c.node, c.local, c.remote, got)
			}
		}
		for node, accepted := range map[*harness.Node]bool{server: true, client: false} {
			all := in(t, node, inspect.Connections)
			if len(all) != 1 || all[0].Accepted != accepted || all[0].Quiet > time.Minute ||
				accepted && (all[0].Local != to || all[0].Remote != ours) || !accepted && (all[0].Local != ours || all[0].Remote != to) {
				t.Errorf("%s: %+v", node, all)
			}
		}
		unreadAndReset(t, client, server, conn, peer)
	}
}

// unreadAndReset looks at a connection whose peer has not read what was said, has closed, and
// has been reset, one after the other.
func unreadAndReset(t *testing.T, client, server *harness.Node, conn, peer net.Conn) {
	t.Helper()
	ours, to := conn.LocalAddr().(*net.TCPAddr).AddrPort(), conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	_, err := conn.Write([]byte("hello"))
	must(t, err)
	gomega.NewWithT(t).Eventually(func() int {
		return in(t, server, func() (int, error) {
			_, unread, err := inspect.Connected(to, ours)
			return unread, err
		})
	}).WithTimeout(eventually).Should(gomega.Equal(len("hello")), "bytes that wait to be read")
	_, err = peer.Read(make([]byte, 10))
	must(t, err)
	// A server that has closed had the connection; one that reset it has none.
	must(t, peer.Close())
	if !in(t, server, func() (bool, error) { return connected(to, ours) }) {
		t.Error("it is closing, and is gone")
	}
	must(t, conn.(*net.TCPConn).SetLinger(0))
	must(t, conn.Close())
	for _, node := range []*harness.Node{client, server} {
		gomega.NewWithT(t).Eventually(func() []inspect.Connection { return in(t, node, inspect.Connections) }).
			WithTimeout(eventually).Should(gomega.BeEmpty(), "after a reset, at %s", node)
	}
}

// A connection that begins to wait after its end is in the kernel's table all the time, though
// a look that takes no lock may miss it: one in 750 of these.
func TestConnectedWhileItCloses(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(plain))
	client, server := lab.Node("client"), lab.Node("server")
	to := netip.AddrPortFrom(server4, 80)
	listener, err := server.Listen(t.Context(), "tcp", to)
	must(t, err)
	defer listener.Close()
	for range 2500 {
		conn, err := client.Dial(t.Context(), "tcp", to)
		must(t, err)
		peer, err := listener.Accept()
		must(t, err)
		ours := conn.LocalAddr().(*net.TCPAddr).AddrPort()
		closed := make(chan error, 1)
		go func() { closed <- peer.Close() }()
		must(t, server.Do(func() error {
			for range 40 {
				switch there, err := connected(to, ours); {
				case err != nil:
					return err
				case !there:
					return errors.New("it is closing, and is gone")
				}
			}
			return nil
		}))
		must(t, <-closed)
		must(t, conn.Close())
	}
}
