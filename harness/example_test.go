package harness_test

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// In a test these are what the test function and TestMain are given, and what
// ExampleUp builds.
var (
	t   *testing.T
	m   *testing.M
	lab *harness.Lab
)

// A package whose tests build labs has this TestMain, and needs no sudo then.
func ExampleMain() {
	os.Exit(harness.Main(m))
}

// A network is declared, built, used, and gone when the test ends.
func ExampleUp() {
	office := topo.New("office")
	lan := office.Switch("lan", "10.0.1.0/24")
	dmz := office.Switch("dmz", "10.0.2.0/24")
	office.Host("client", lan)
	office.Host("server", dmz)
	office.Router("fw", lan, dmz)

	lab := harness.Up(t, office)

	server := netip.AddrPortFrom(lab.Node("server").Addr(), 80)
	listener, err := lab.Node("server").Listen(t.Context(), "tcp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := lab.Node("client").Dial(t.Context(), "tcp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
}

// A program runs in the node, sees its network and nothing else's, and is killed
// with the lab.
func ExampleNode_Command() {
	fw := lab.Node("fw")
	out, err := fw.Command("nft", "list", "ruleset").Output()
	if err != nil {
		t.Fatal(err) // node fw: run nft: exit status 1: and what nft said
	}
	fmt.Println(string(out))
}

// A function runs on a thread that is in the node's namespace.
func ExampleNode_Do() {
	fw := lab.Node("fw")
	err := fw.Do(func() error {
		table, err := os.ReadFile("/proc/thread-self/net/nf_conntrack")
		fmt.Println(string(table))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Rules may change in the middle of a test.
func ExampleNode_Nft() {
	fw := lab.Node("fw")
	if err := fw.Nft("add table inet filter"); err != nil {
		t.Fatal(err) // node fw: load nft ruleset: nft: line 1: ...
	}
}

// A namespace that exists already, a firewall's own for instance, is used as it is.
func ExampleAttach() {
	harness.Require(t, harness.Root)
	fw := harness.Attach(t, "fw", "/run/netns/fw")
	conn, err := fw.Dial(t.Context(), "tcp", netip.MustParseAddrPort("192.0.2.1:22"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	greeting, _ := io.ReadAll(conn)
	fmt.Println(string(greeting))
}

// A test that needs more than every kernel has says so first.
func ExampleRequire() {
	harness.Require(t, harness.NftTool, harness.Netem, harness.Kernel(6, 1))
}
