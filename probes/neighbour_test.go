package probes

import (
	"fmt"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// allPairs are a survey's tasks.
func allPairs(t *testing.T, lab *harness.Lab) []*task {
	t.Helper()
	grid := Grid{From: lab.Nodes(), Probes: []Probe{ICMP()}}
	for _, node := range lab.Nodes() {
		grid.To = append(grid.To, node)
	}
	return tasksOf(t, grid)
}

func tasksOf(t *testing.T, grid Grid) []*task {
	t.Helper()
	tasks, err := grid.tasks(t.Context(), newMatrix(make([]string, len(grid.From)), make([]string, len(grid.To))))
	if err != nil {
		t.Fatal(err)
	}
	return tasks
}

func flat(name string, n int) *topo.Network {
	network := topo.New(name)
	lan := network.Switch("lan", "10.0.0.0/24", "fd00::/64")
	for i := range n {
		network.Host(fmt.Sprintf("h%d", i), lan)
	}
	return network
}

func TestNeighboursOfASegment(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, flat("flat", 5))
	all := allPairs(t, lab)
	for _, v6 := range []bool{false, true} {
		if got := neighbours(all, v6); got != 20 {
			t.Errorf("five hosts know %d neighbours, not four each", got)
		}
	}
	one := Grid{From: lab.Nodes()[:1], Probes: []Probe{ICMP(), TCP(80)}}
	for _, node := range lab.Nodes() {
		one.To = append(one.To, node)
	}
	if got := neighbours(tasksOf(t, one), false); got != 8 {
		t.Errorf("one asks four: %d entries, not one at each end", got)
	}
	two := append(all, allPairs(t, harness.Up(t, flat("twin", 5)))...)
	if got := neighbours(two, false); got != 40 {
		t.Errorf("two labs of the same addresses: %d entries, not 40", got)
	}
}

func TestNeighboursBehindAGateway(t *testing.T) {
	t.Parallel()
	network := topo.New("star")
	var wires []topo.Attachment
	for i := range 6 {
		wire := network.Wire(fmt.Sprintf("w%d", i), fmt.Sprintf("10.0.%d.0/24", i))
		network.Host(fmt.Sprintf("h%d", i), wire)
		wires = append(wires, wire)
	}
	network.Router("r", wires...)
	lab := harness.Up(t, network)
	hosts := Grid{From: lab.Nodes()[:6], Probes: []Probe{ICMP()}}
	for _, node := range hosts.From {
		hosts.To = append(hosts.To, node)
	}
	if got := neighbours(tasksOf(t, hosts), false); got != 12 {
		t.Errorf("six hosts and their gateway know each other in %d entries, not 12", got)
	}
}

func TestNeighbourLimit(t *testing.T) {
	t.Parallel()
	tasks := allPairs(t, harness.Up(t, flat("flat", 5))) // 20 entries in each family
	limits := func(v4, v6 int) func(bool) (int, bool) {
		return func(ask6 bool) (int, bool) {
			if ask6 {
				return v6, v6 > 0
			}
			return v4, v4 > 0
		}
	}
	for _, enough := range []func(bool) (int, bool){limits(40, 40), limits(0, 0), limits(0, 41)} {
		if err := enoughNeighbours(tasks, enough); err != nil {
			t.Error(err)
		}
	}
	for sysctl, short := range map[string]func(bool) (int, bool){
		"net.ipv4.neigh.default.gc_thresh3": limits(38, 40), "net.ipv6.neigh.default.gc_thresh3": limits(40, 39),
	} {
		err := enoughNeighbours(tasks, short)
		want := "20 neighbour entries are needed, and half of the machine's table has 19: raise sysctl " + sysctl + ", or ask fewer pairs at once"
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestNeighbourLimitOfThisMachine(t *testing.T) {
	t.Parallel()
	for _, v6 := range []bool{false, true} {
		if limit, known := neighbourLimit(v6); known && limit <= 0 {
			t.Errorf("IPv6 %v: %d", v6, limit)
		}
	}
}

func TestAttachedNodesMayHaveAnyNeighbour(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, flat("flat", 4))
	grid := Grid{From: []*harness.Node{harness.Attach(t, "x", lab.Nodes()[0].Path())}, Probes: []Probe{ICMP()}}
	for _, node := range lab.Nodes()[1:] {
		grid.To = append(grid.To, node)
	}
	if got := neighbours(tasksOf(t, grid), false); got != 6 {
		t.Errorf("%d entries, not one at each end of three pairs", got)
	}
}
