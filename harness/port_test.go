package harness_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// While the port is down the other end asks for it in vain. When it is up again
// the first connection passes at once: the kernel would give up on the neighbour
// entry of that time first, or ask again a second later.
func TestPortDownAndUp(t *testing.T) {
	t.Parallel()
	office := topo.New("ports")
	wire := office.Wire("wire", "10.0.0.0/24", "fd00::/64")
	office.Host("alice", wire)
	office.Host("bob", wire)
	lan := office.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	for _, name := range []string{"carol", "dave", "erin"} {
		office.Host(name, lan)
	}
	office.Host("frank", lan).Bridge("br0", lan)
	lab := harness.Up(t, office)
	for _, c := range []struct{ port, client, server string }{{"wire", "alice", "bob"}, {"lan", "erin", "dave"}, {"br0", "erin", "frank"}} {
		client, server := lab.Node(c.client), lab.Node(c.server)
		echo(t, server, 80)
		port := server.Port(c.port)
		for range 5 {
			for _, addr := range server.Addrs() {
				if err := port.Down(); err != nil {
					t.Fatal(err)
				}
				if connects(t, client, addr, 50*time.Millisecond) == nil {
					t.Errorf("%s answers through a port that is down", addr)
				}
				if err := port.Up(); err != nil {
					t.Fatal(err)
				}
				if err := connects(t, client, addr, 900*time.Millisecond); err != nil {
					t.Errorf("%s does not answer after its port is up again: %v", addr, err)
				}
			}
		}
	}
}

func connects(t *testing.T, from *harness.Node, to netip.Addr, within time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", netip.AddrPortFrom(to, 80))
	if err == nil {
		_ = conn.Close()
	}
	return err
}

// Both ends down: the first to come up has nobody to wait for.
func TestPortUpWithNobodyThere(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, pair())
	alice, bob := lab.Node("alice").Port("wire"), lab.Node("bob").Port("wire")
	for _, change := range []func() error{alice.Down, bob.Down, alice.Up, bob.Up} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
	}
	echo(t, lab.Node("bob"), 80)
	for _, addr := range lab.Node("bob").Addrs() {
		if err := connects(t, lab.Node("alice"), addr, 900*time.Millisecond); err != nil {
			t.Errorf("%s does not answer: %v", addr, err)
		}
	}
}
