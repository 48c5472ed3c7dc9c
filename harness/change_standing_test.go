package harness_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
)

// standing is what a change must not touch: namespaces, and interfaces with their indexes,
// MACs and addresses.
func standing(t *testing.T, lab *harness.Lab, but ...string) map[string]string {
	t.Helper()
	stands := map[string]string{}
	for _, node := range lab.Nodes() {
		stands[node.Name()] = fmt.Sprint(node.Inode())
		links, err := node.Netlink().LinkList()
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			a := link.Attrs()
			text := fmt.Sprint(a.Index, a.HardwareAddr, a.MTU, a.Flags&net.FlagUp, a.MasterIndex)
			addrs, err := node.Netlink().AddrList(link, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, addr := range addrs {
				text += " " + addr.IPNet.String()
			}
			stands[node.Name()+"/"+a.Name] = text
		}
	}
	for _, name := range but {
		delete(stands, name)
	}
	return stands
}

// stands complains of what is not as it was.
func stands(t *testing.T, before, after map[string]string) {
	t.Helper()
	for name, was := range before {
		if after[name] != was {
			t.Errorf("%s was %s, and is %q", name, was, after[name])
		}
	}
}

// talk is a connection that somebody has, and who else is there after the change.
type talk struct {
	conn, far net.Conn
}

func talks(t *testing.T, from, to *harness.Node) *talk {
	t.Helper()
	listener, err := to.Listen(t.Context(), "tcp", netip.AddrPortFrom(to.Addr(), 0))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := from.Dial(t.Context(), "tcp", netip.MustParseAddrPort(listener.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = conn.Close(), far.Close() })
	return &talk{conn, far}
}

// goesOn sends and reads, both ways.
func (c *talk) goesOn(t *testing.T) {
	t.Helper()
	for _, pair := range [][2]net.Conn{{c.conn, c.far}, {c.far, c.conn}} {
		if _, err := pair[0].Write([]byte("still")); err != nil {
			t.Error(err)
		}
		_ = pair[1].SetReadDeadline(time.Now().Add(5 * time.Second))
		buf := make([]byte, 5)
		if _, err := pair[1].Read(buf); err != nil {
			t.Error("the connection is not what it was:", err)
		}
	}
}

// repeater starts a process on a node, and says whether it is there still.
func repeater(t *testing.T, node *harness.Node) (repeats func()) {
	t.Helper()
	program := node.Command("cat")
	cat, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	echoed, err := program.StdoutPipe()
	if err == nil {
		err = program.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if _, err := cat.Write([]byte("still")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(echoed, make([]byte, 5)); err != nil {
			t.Error("the process is no more:", err)
		}
	}
}

// arrives sends one datagram to each address of a node, and has a plain socket there
// read it.
func arrives(t *testing.T, from, to *harness.Node, addrs ...netip.Addr) {
	t.Helper()
	for _, addr := range addrs {
		conn, err := to.ListenPacket(t.Context(), "udp", netip.AddrPortFrom(addr, 0))
		if err != nil {
			t.Fatal(err)
		}
		sender, err := from.Dial(t.Context(), "udp", netip.MustParseAddrPort(conn.LocalAddr().String()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sender.Write([]byte("first")); err != nil {
			t.Error(from, addr, err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(soon))
		if _, _, err := conn.ReadFrom(make([]byte, 8)); err != nil {
			t.Errorf("from %s nothing came to %s of %s: %v", from, addr, to, err)
		}
		_, _ = sender.Close(), conn.Close()
	}
}
