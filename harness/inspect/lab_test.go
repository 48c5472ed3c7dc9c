package inspect_test

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// The server's addresses, and that of the router towards the client.
var (
	server4, server6 = netip.MustParseAddr("10.0.2.1"), netip.MustParseAddr("fd00:2::1")
	fwLan4           = netip.MustParseAddr("10.0.1.2")
)

// office is a lan, a dmz, and a router between them; a test changes its nodes.
func office(change func(client, server, fw *topo.Node)) *topo.Network {
	office := topo.New("office")
	lan := office.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := office.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	client, server := office.Host("client", lan), office.Host("server", dmz)
	change(client, server, office.Router("fw", lan, dmz))
	return office
}

func plain(_, _, _ *topo.Node) {}

// bridged is a box that bridges its two ports, with a client and a server.
func bridged(t *testing.T) *harness.Lab {
	t.Helper()
	network := topo.New("bridged")
	left, right := network.Wire("left", "10.0.1.0/24"), network.Wire("right", "10.0.1.0/24")
	network.Host("client", left.At("10.0.1.1"))
	network.Host("server", right.At("10.0.1.2"))
	network.Host("box", left.NoAddress(), right.NoAddress())
	lab := harness.Up(t, network)
	h := lab.Node("box").Netlink()
	bridge := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
	bridge.Name = "br"
	must(t, h.LinkAdd(bridge))
	for _, name := range []string{"left", "right"} {
		must(t, h.LinkSetMaster(link(t, lab.Node("box"), name), bridge))
	}
	must(t, h.LinkSetUp(bridge))
	return lab
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, node *harness.Node, name string) netlink.Link {
	t.Helper()
	l, err := node.Netlink().LinkByName(name)
	must(t, err)
	return l
}

// neighbour tells a node which MAC an address has.
func neighbour(t *testing.T, node *harness.Node, name string, addr netip.Addr, mac net.HardwareAddr) {
	t.Helper()
	must(t, node.Netlink().NeighSet(&netlink.Neigh{
		LinkIndex: link(t, node, name).Attrs().Index, State: unix.NUD_PERMANENT, IP: addr.AsSlice(), HardwareAddr: mac,
	}))
}

// serve has a node listen at a port, by TCP and UDP.
func serve(t *testing.T, node *harness.Node, at string) {
	t.Helper()
	on, family := netip.MustParseAddrPort(at), ""
	if on.Addr().Is4() {
		family = "4" // else the widest of IPv4 is that of both
	}
	listener, err := node.Listen(t.Context(), "tcp"+family, on)
	must(t, err)
	conn, err := node.ListenPacket(t.Context(), "udp"+family, on)
	must(t, err)
	t.Cleanup(func() { _, _ = listener.Close(), conn.Close() })
}

// fill fills the queue of a port of the server, at which nobody accepts.
func fill(t *testing.T, lab *harness.Lab, port uint16) {
	t.Helper()
	err := lab.Node("server").Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: server4.As4(), Port: int(port)}); err != nil {
			return err
		}
		return unix.Listen(fd, 0)
	})
	must(t, err)
	conn, err := lab.Node("fw").Dial(t.Context(), "tcp", netip.AddrPortFrom(server4, port))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
}

// bind has a node listen at a port of every address, by TCP and UDP, with sockets that
// set prepares.
func bind(t *testing.T, node *harness.Node, port int, set func(fd int) error) {
	t.Helper()
	must(t, node.Do(func() error {
		for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
			fd, err := unix.Socket(unix.AF_INET6, kind|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = unix.Close(fd) })
			if err := set(fd); err != nil {
				return err
			}
			if err := unix.Bind(fd, &unix.SockaddrInet6{Port: port}); err != nil {
				return err
			}
			if kind == unix.SOCK_STREAM {
				if err := unix.Listen(fd, 1); err != nil {
					return err
				}
			}
		}
		return nil
	}))
}
