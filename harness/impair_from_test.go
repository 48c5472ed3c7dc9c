package harness_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// pairRates are the rates by which a switch sends to nodes, in bits a second: of all, and of what comes from each.
func pairRates(t *testing.T, lab *harness.Lab, segment string) map[string]uint64 {
	t.Helper()
	ports, err := lab.Switch(segment)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]uint64{}
	for _, port := range ports {
		for _, q := range port.Qdiscs {
			if q.Rate > 0 {
				found[port.Node] = q.Rate
			}
		}
		for _, from := range port.From {
			for _, q := range from.Qdiscs {
				if q.Rate > 0 {
					found[from.Node+">"+port.Node] = q.Rate
				}
			}
		}
	}
	return found
}

// paired are four on a switch: what a and b send each other has a rate, and what b gets from the others another.
func paired() *topo.Network {
	network := topo.New("paired")
	lan := network.Switch("lan", "10.0.1.0/24").ImpairBetween("a", "b", rate(topo.Mbit))
	network.Host("a", lan)
	network.Host("b", lan.At().ImpairReceived(rate(9*topo.Mbit)).ImpairReceivedFrom("d", topo.Impairment{}))
	network.Host("c", lan)
	network.Host("d", lan)
	return network
}

// havePairs says that a lab has the rates, as its twin does.
func havePairs(t *testing.T, lab *harness.Lab, want string) {
	t.Helper()
	if got := fmt.Sprint(pairRates(t, lab, "lan")); got != want {
		t.Errorf("%s, not %s", got, want)
	}
	same(t, lab)
}

func TestRatesBetweenTwo(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, paired())
	havePairs(t, lab, "map[a>b:1000000 b:9000000 b>a:1000000]")
	port := func(node string) *harness.Port { return lab.Node(node).Port("lan") }
	for _, err := range []error{
		port("a").ImpairReceivedFrom(port("b"), topo.Impairment{}), port("a").ImpairReceivedFrom(port("c"), rate(2*topo.Mbit)),
		port("b").ImpairReceived(topo.Impairment{}), port("d").ImpairReceivedFrom(port("a"), rate(3*topo.Mbit)), port("d").ImpairReceivedFrom(port("c"), rate(5*topo.Gbit)),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	now := "map[a>b:1000000 a>d:3000000 c>a:2000000 c>d:5000000000]"
	havePairs(t, lab, now)
	for _, want := range []string{"[receives from b: nothing happens] [receives from c: rate 2 Mbit/s, limit 50]", "[receives from a: rate 3 Mbit/s, limit 50] [receives from c: rate 5 Gbit/s, limit 50]"} {
		if !strings.Contains(lab.Plan().String(), want) {
			t.Errorf("the plan has no %q:\n%s", want, lab.Plan())
		}
	}

	change := func(what func(n *topo.Network)) {
		t.Helper()
		if err := lab.Change(what); err != nil {
			t.Fatal(err)
		}
	}
	change(func(n *topo.Network) {
		n.Segment("lan").ImpairBetween("e", "a", rate(6*topo.Mbit)).ImpairBetween("a", "b", rate(7*topo.Mbit))
		n.Host("e", n.Segment("lan"))
	})
	havePairs(t, lab, "map[a>b:7000000 a>d:3000000 a>e:6000000 c>a:2000000 c>d:5000000000 e>a:6000000]")
	if err := lab.Change(func(n *topo.Network) {
		n.Segment("lan").ImpairBetween("a", "b", rate(8*topo.Mbit))
		n.Remove(n.Node("e"), n.Node("c"))
		n.Node("a").Nft("nonsense")
	}); err == nil || strings.Contains(err.Error(), "undone") {
		t.Error("nonsense was loaded:", err)
	}
	havePairs(t, lab, "map[a>b:7000000 a>d:3000000 a>e:6000000 c>a:2000000 c>d:5000000000 e>a:6000000]")
	change(func(n *topo.Network) { n.Remove(n.Node("e"), n.Node("c")) })
	havePairs(t, lab, "map[a>b:7000000 a>d:3000000]")
	if strings.Contains(lab.Plan().String(), "from c") {
		t.Errorf("the plan still has c:\n%s", lab.Plan())
	}
}

// What is refused leaves what was.
func TestImpairmentsBetweenTwoThatAreRefused(t *testing.T) {
	t.Parallel()
	network := paired()
	wire, br := network.Wire("wire", "10.0.2.0/24"), network.Switch("br", "10.0.3.0/24")
	over := network.VXLAN("over", network.Segment("lan"), 7, "10.0.4.0/24")
	network.Node("c").Attach(wire, br, over)
	network.Node("d").Attach(wire, over).Bridge("own", br)
	network.Node("d").Attach(br)
	lab, other := harness.Up(t, network), harness.Up(t, paired())
	port := func(node, name string) *harness.Port { return lab.Node(node).Port(name) }
	for _, c := range []struct {
		to, from *harness.Port
		i        topo.Impairment
		want     string
	}{
		{port("a", "lan"), port("b", "lan"), topo.Impairment{Loss: 7}, "node a: port lan: impair what comes from b/lan: loss 7: it is a part of one"},
		{port("a", "lan"), nil, rate(topo.Mbit), "node a: port lan: impair: there is no port that it comes from"},
		{port("a", "lan"), port("a", "lan"), rate(topo.Mbit), "they are not two nodes' ports of one segment"},
		{port("a", "lan"), port("c", "br"), rate(topo.Mbit), "they are not two nodes' ports of one segment"},
		{port("c", "wire"), port("d", "wire"), rate(topo.Mbit), "a wire joins two alone"},
		{port("c", "over"), port("d", "over"), rate(topo.Mbit), "its frames pass no switch of its own"},
		{port("d", "own"), port("c", "br"), rate(topo.Mbit), "it is a device of the node's own"},
		{port("c", "br"), port("d", "own"), rate(topo.Mbit), "d/own is no port"},
		{port("a", "lan"), other.Node("b").Port("lan"), rate(topo.Mbit), "node b is none of this lab's"},
	} {
		if err := c.to.ImpairReceivedFrom(c.from, c.i); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\ndoes not say %q", err, c.want)
		}
	}
	if err := port("a", "lan").ImpairReceivedFrom(port("b", "lan"), topo.Impairment{Loss: 1}); err != nil {
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "load the module sch_netem") {
			t.Error(err)
		}
		havePairs(t, lab, "map[a>b:1000000 b:9000000 b>a:1000000]")
		return
	}
	t.Log("this kernel has netem")
	havePairs(t, lab, "map[a>b:1000000 b:9000000]")
}
