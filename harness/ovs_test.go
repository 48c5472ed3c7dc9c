package harness_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// switched is two hosts on an Open vSwitch with flows.
func switched(name string, flows ...string) *topo.Network {
	network := topo.New(name)
	lan := network.OVS("br-int", "10.0.0.0/24", "fd00::/64").Flow(flows...)
	network.Host("pc", lan)
	network.Host("web", lan)
	return network
}

// hears says what of the first datagram that pc sends comes to web, in this time. The port is a new one: a
// process that another test has forked may still have the last one's socket.
func hears(t *testing.T, lab *harness.Lab, v6 bool, within time.Duration) string {
	t.Helper()
	conn, err := lab.Node("web").ListenPacket(context.Background(), "udp", netip.AddrPortFrom(addrOf(lab.Node("web"), v6), 0))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	from, err := lab.Node("pc").Dial(context.Background(), "udp", netip.MustParseAddrPort(conn.LocalAddr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if _, err := from.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, _, err := conn.ReadFrom(buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

func addrOf(node *harness.Node, v6 bool) netip.Addr {
	for _, addr := range node.Addrs() {
		if addr.Is6() == v6 {
			return addr
		}
	}
	return netip.Addr{}
}

// The kernel asks for a neighbour again after a second: what comes later was lost at first.
const firstComes = 900 * time.Millisecond

func TestTheFirstPacketPassesAnOpenVSwitch(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.OVS)
	for range 3 {
		lab := harness.Up(t, switched("first"))
		for _, v6 := range []bool{false, true} {
			if got := hears(t, lab, v6, firstComes); got != "hello" {
				t.Errorf("datapath %s, IPv6 %v: web heard %q", lab.OVS("br-int").Datapath(), v6, got)
			}
		}
		lab.Down()
	}
}

// A stream of a megabyte needs whole checksums, and segments that fit.
func TestAStreamPassesAnOpenVSwitch(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.OVS)
	lab := harness.Up(t, switched("stream"))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	on := netip.AddrPortFrom(addrOf(lab.Node("web"), false), 80)
	listener, err := lab.Node("web").Listen(ctx, "tcp", on)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	const size = 1 << 20
	got := make(chan int64, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			got <- -1
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		n, _ := io.Copy(io.Discard, conn)
		got <- n
	}()
	conn, err := lab.Node("pc").Dial(ctx, "tcp", on)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(make([]byte, size)); err != nil {
		t.Error(err)
	}
	_ = conn.Close()
	if n := <-got; n != size {
		t.Errorf("%d bytes came", n)
	}
}

func TestFlowsOfAnOpenVSwitch(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.OVS)
	lab := harness.Up(t, switched("flows", "cookie=0x2a,priority=10,udp,in_port=pc,actions=drop"))
	lan := lab.OVS("br-int")
	if got := hears(t, lab, false, 100*time.Millisecond); got != "" {
		t.Errorf("past a flow that drops came %q", got)
	}
	if got := hears(t, lab, true, firstComes); got != "hello" {
		t.Errorf("udp is IPv4's, and of IPv6's came %q", got)
	}
	if text, err := lan.Ofctl("dump-flows"); err != nil || !strings.Contains(text, "cookie=0x2a") || !strings.Contains(text, "priority=10,udp,in_port=pc actions=drop") {
		t.Errorf("%v\n%s", err, text)
	}
	if text, err := lan.Appctl("fdb/show", lan.Bridge()); err != nil || !strings.Contains(text, "MAC") {
		t.Errorf("%v\n%s", err, text)
	}
	twin, err := lab.Twin()
	if err != nil {
		t.Fatal(err)
	}
	if got := hears(t, twin, false, 100*time.Millisecond); got != "" {
		t.Errorf("in the twin came %q", got)
	}
	twin.Down()
	// As soon as that returns.
	if _, err := lan.Ofctl("del-flows", "udp"); err != nil {
		t.Fatal(err)
	}
	if got := hears(t, lab, false, firstComes); got != "hello" {
		t.Errorf("without the flow came %q", got)
	}
	if twin, err = lab.Twin(); err != nil {
		t.Fatal(err)
	}
	defer twin.Down()
	if got := hears(t, twin, false, firstComes); got != "hello" {
		t.Errorf("in a twin without the flow came %q", got)
	}
	for what, err := range map[string]error{
		"switch br-int: ovs-ofctl": func() error { _, err := lan.Ofctl("add-flow", "nonsense"); return err }(),
		"switch br-int: ovs-appctl nonsense: \"nonsense\" is not a valid command": func() error { _, err := lan.Appctl("nonsense"); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, not %s", err, what)
		}
	}
}

func TestAFlowThatIsNoneFailsUp(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.OVS)
	r := record(t, func(tb harness.TB) { harness.Up(tb, switched("wrong", "priority=10,nonsense=1,actions=drop")) })
	if !strings.Contains(r.fatal, `up: segment br-int: flow "priority=10,nonsense=1,actions=drop"`) || !strings.Contains(r.fatal, "nonsense") {
		t.Errorf("%q", r.fatal)
	}
}

func TestVLANsOfAnOpenVSwitch(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.OVS)
	network := topo.New("tags")
	lan := network.OVS("br-int", "10.0.0.0/24", "fd00::/64")
	network.Host("pc", lan.Access(100))
	network.Host("web", lan.Access(200))
	network.Host("tap", lan.Access(7).Trunk(100, 200))
	lab := harness.Up(t, network)
	for _, v6 := range []bool{false, true} {
		if got := hears(t, lab, v6, 100*time.Millisecond); got != "" {
			t.Errorf("between VLANs came %q", got)
		}
	}
	text, err := lab.OVS("br-int").Vsctl("--columns=tag,trunks,vlan_mode", "list", "port", "tap")
	if want := "tag : 7 trunks : [100, 200] vlan_mode : native-untagged"; err != nil || strings.Join(strings.Fields(text), " ") != want {
		t.Errorf("%v: %s", err, text)
	}
	if err := lab.Node("web").Port("br-int").SetVLANs(100); err != nil {
		t.Fatal(err)
	}
	twin, err := lab.Twin()
	if err != nil {
		t.Fatal(err)
	}
	defer twin.Down()
	for _, l := range []*harness.Lab{lab, twin} {
		for _, v6 := range []bool{false, true} {
			if got := hears(t, l, v6, firstComes); got != "hello" {
				t.Errorf("within a VLAN came %q", got)
			}
		}
	}
	if err := lab.Node("web").Port("br-int").SetIsolated(true); err == nil || !strings.Contains(err.Error(), "say the rest by its flows") {
		t.Error(err)
	}
}

func TestAPortOfAnOpenVSwitchGoesDownAndUp(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.OVS)
	lab := harness.Up(t, switched("down"))
	for range 3 {
		if err := lab.Node("web").Port("br-int").Down(); err != nil {
			t.Fatal(err)
		}
		if err := lab.Node("web").Port("br-int").Up(); err != nil {
			t.Fatal(err)
		}
		for _, v6 := range []bool{false, true} {
			if got := hears(t, lab, v6, firstComes); got != "hello" {
				t.Errorf("IPv6 %v: web heard %q", v6, got)
			}
		}
	}
}

func TestChangesOfAnOpenVSwitchAreRefused(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.OVS)
	network := switched("changes", "priority=1,actions=NORMAL")
	network.Router("fw", network.Switch("lan", "10.0.9.0/24"))
	lab := harness.Up(t, network)
	for what, change := range map[string]func(*topo.Network){
		"a port": func(n *topo.Network) { n.Host("tv", n.Segment("br-int")) },
		"a node": func(n *topo.Network) { n.Remove(n.Node("web")) },
		"a flow": func(n *topo.Network) { n.Segment("br-int").Flow("priority=2,actions=drop") },
		"a new":  func(n *topo.Network) { n.Host("tv", n.OVS("br-ex", "10.0.8.0/24")) },
		"gone":   func(n *topo.Network) { n.Remove(n.Segment("br-int")) },
	} {
		if err := lab.Change(change); err == nil || !strings.Contains(err.Error(), "an Open vSwitch and its ports are those that were declared before Up") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := lab.Change(func(n *topo.Network) { n.Host("printer", n.Segment("lan")) }); err != nil {
		t.Error(err)
	}
	if got := hears(t, lab, false, firstComes); got != "hello" {
		t.Errorf("came %q", got)
	}
}

// VLANs keep nodes apart until a flow hands on by itself.
func TestVLANsOfAnOpenVSwitchKeepNodesApart(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.OVS)
	network := topo.New("joined")
	lan := network.OVS("br-int", "10.0.0.0/24").Flow("priority=10,tcp,actions=resubmit(,7)", "table=7,actions=NORMAL", "priority=20,tcp,tp_dst=22,actions=drop")
	network.Host("pc", lan.Access(100))
	network.Host("web", lan.Access(200))
	network.Host("tap", lan.Access(7).Trunk(100))
	network.Host("alone", network.Switch("lan", "10.0.1.0/24"))
	lab := harness.Up(t, network)
	islands := func() string {
		found, err := lab.Islands()
		return fmt.Sprint(found, err)
	}
	if got := islands(); got != "[[pc tap] [web] [alone]] <nil>" {
		t.Error(got)
	}
	for what, actions := range map[string]string{
		"a flow that hands on":     "output:web",
		"another VLAN":             "mod_vlan_vid:200,NORMAL",
		"as if from another port":  "resubmit(web,7)",
		"by what a program learns": "learn(table=7,output:NXM_OF_IN_PORT[]),NORMAL",
	} {
		if _, err := lab.OVS("br-int").Ofctl("add-flow", "priority=30,udp,actions="+actions); err != nil {
			t.Fatal(err)
		}
		if got := islands(); got != "[[pc web tap] [alone]] <nil>" {
			t.Errorf("%s: %s", what, got)
		}
		if _, err := lab.OVS("br-int").Ofctl("del-flows", "--strict", "priority=30,udp"); err != nil {
			t.Fatal(err)
		}
	}
	if got := islands(); got != "[[pc tap] [web] [alone]] <nil>" {
		t.Error(got)
	}
	if _, err := lab.OVS("br-int").Vsctl("--", "--id=@all", "create", "mirror", "name=all", "select-all=true", "output-vlan=200", "--", "set", "bridge", "br-int", "mirrors=@all"); err != nil {
		t.Fatal(err)
	}
	if got := islands(); got != "[[pc web tap] [alone]] <nil>" {
		t.Errorf("with a mirror: %s", got)
	}
}
