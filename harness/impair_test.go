package harness_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
)

// rates are what the kernel has of the rates by which a node sends, by interface: in bits a second.
func rates(t *testing.T, node *harness.Node) map[string]uint64 {
	t.Helper()
	queues, err := node.Netlink().QdiscList(nil)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]uint64{}
	for _, q := range queues {
		if tbf, is := q.(*netlink.Tbf); is {
			link, err := node.Netlink().LinkByIndex(tbf.LinkIndex)
			if err != nil {
				t.Fatal(err)
			}
			found[link.Attrs().Name] = 8 * tbf.Rate
		}
	}
	return found
}

func rate(of topo.BitRate) topo.Impairment { return topo.Impairment{Rate: of, Limit: 50} }

// limited are a and fw on a wire, and b and c on a switch with it.
func limited() *topo.Network {
	network := topo.New("limited")
	wire, lan := network.Wire("wire", "10.0.1.0/24").Impair(rate(10*topo.Mbit)), network.Switch("lan", "10.0.2.0/24")
	network.Host("a", wire.At().ImpairReceived(rate(20*topo.Mbit)))
	network.Router("fw", wire, lan)
	network.Host("b", lan.At().Impair(rate(30*topo.Gbit)).ImpairReceived(rate(64*topo.Kbit)))
	network.Host("c", lan)
	return network
}

// haveRates says that a lab's nodes, and those of a twin, have the rates.
func haveRates(t *testing.T, lab *harness.Lab, of map[string]string) {
	t.Helper()
	for node, want := range of {
		if got := fmt.Sprint(rates(t, lab.Node(node))); got != want {
			t.Errorf("%s: %s, not %s", node, got, want)
		}
	}
	same(t, lab)
}

func TestRates(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, limited())
	want := func(of map[string]string) { t.Helper(); haveRates(t, lab, of) }
	want(map[string]string{"a": "map[wire:10000000]", "fw": "map[wire:20000000]", "b": "map[lan:30000000000]", "c": "map[]"})
	for _, err := range []error{
		lab.Node("a").Port("wire").Impair(rate(topo.Mbit)), lab.Node("a").Port("wire").ImpairReceived(rate(2 * topo.Mbit)),
		lab.Node("b").Port("lan").Impair(topo.Impairment{}), lab.Node("b").Port("lan").ImpairReceived(topo.Impairment{}),
		lab.Node("c").Port("lan").ImpairReceived(rate(topo.Mbit)), lab.Node("c").Port("lan").Impair(rate(3 * topo.Mbit)),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	now := map[string]string{"a": "map[wire:1000000]", "fw": "map[wire:2000000]", "b": "map[]", "c": "map[lan:3000000]"}
	want(now)
	for _, line := range []string{"wire [sends: rate 1 Mbit/s, limit 50]", "wire [sends: rate 2 Mbit/s, limit 50]", "lan [sends: rate 3 Mbit/s, limit 50] [receives: rate 1 Mbit/s, limit 50]"} {
		if !strings.Contains(lab.Plan().String(), line) {
			t.Errorf("the plan has no %q:\n%s", line, lab.Plan())
		}
	}

	if err := lab.Change(func(n *topo.Network) {
		n.Host("d", n.Segment("lan").At().Impair(rate(4*topo.Mbit)))
		n.Node("fw").Attach(n.Wire("other", "10.0.3.0/24").Impair(rate(5 * topo.Mbit)))
		n.Host("e", n.Segment("other"))
	}); err != nil {
		t.Fatal(err)
	}
	now["d"], now["e"], now["fw"] = "map[lan:4000000]", "map[other:5000000]", "map[other:5000000 wire:2000000]"
	want(now)
	if err := lab.Change(func(n *topo.Network) { n.Segment("other").Impair(rate(6 * topo.Mbit)) }); err != nil {
		t.Fatal(err)
	}
	now["e"], now["fw"] = "map[other:6000000]", "map[other:6000000 wire:2000000]"
	want(now)
	if err := lab.Change(func(n *topo.Network) { n.Segment("other").Impair(rate(7 * topo.Mbit)); n.Node("a").Nft("nonsense") }); err == nil {
		t.Error("nonsense was loaded")
	}
	if err := lab.Change(func(n *topo.Network) { n.Remove(n.Segment("other")); n.Node("a").Nft("nonsense") }); err == nil || strings.Contains(err.Error(), "undone") {
		t.Error(err)
	}
	want(now)
}

// What is refused leaves what was.
func TestImpairmentsThatAreRefused(t *testing.T) {
	t.Parallel()
	network := limited()
	network.Node("b").Bridge("br", network.Segment("lan"))
	lab := harness.Up(t, network)
	port := lab.Node("a").Port("wire")
	err := port.Impair(topo.Impairment{Loss: 7, Jitter: time.Second})
	for _, want := range []string{"node a: port wire: impair: ", "loss 7: it is a part of one", "jitter 1s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %q", err, want)
		}
	}
	if err := lab.Node("b").Port("br").Impair(rate(topo.Mbit)); err == nil || !strings.Contains(err.Error(), "choose the port that it sends by") {
		t.Error(err)
	}
	switch err := port.Impair(topo.Impairment{Loss: 1}); {
	case err == nil:
		t.Log("this kernel has netem")
		if found := rates(t, lab.Node("a")); len(found) > 0 {
			t.Error("what was there before stays:", found)
		}
	case !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "load the module sch_netem"):
		t.Error(err)
	default:
		if found := fmt.Sprint(rates(t, lab.Node("a"))); found != "map[wire:10000000]" {
			t.Error("what was there before: ", found)
		}
	}
	same(t, lab)
}

// What is lost in one way keeps no port from coming up.
func TestAPortComesUpWhoseWayLosesAll(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.Netem)
	network := topo.New("deaf")
	wire, lan := network.Wire("wire", "10.0.1.0/24", "fd00:1::/64"), network.Switch("lan", "10.0.2.0/24")
	lost := topo.Impairment{Loss: 1}
	network.Host("a", wire.At().Impair(lost))
	network.Host("b", wire, lan.At().ImpairReceived(lost))
	network.Host("c", lan)
	lab := harness.Up(t, network)
	for _, of := range [][2]string{{"a", "wire"}, {"b", "wire"}, {"b", "lan"}, {"c", "lan"}} {
		port := lab.Node(of[0]).Port(of[1])
		if err := errors.Join(port.Down(), port.Up()); err != nil {
			t.Error(of, err)
		}
	}
	queues, err := lab.Node("a").Netlink().QdiscList(nil)
	if err != nil || !slices.ContainsFunc(queues, func(q netlink.Qdisc) bool { return q.Type() == "netem" }) {
		t.Error(queues, err)
	}
}
