package topo_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// mustPlan plans a network that has no mistake.
func mustPlan(tb testing.TB, network *topo.Network) *topo.Plan {
	tb.Helper()
	plan, err := network.Plan()
	if err != nil {
		tb.Fatal(err)
	}
	return plan
}

// nodeOf is a node of the plan.
func nodeOf(tb testing.TB, plan *topo.Plan, name string) *topo.NodePlan {
	tb.Helper()
	node, ok := plan.Node(name)
	if !ok {
		tb.Fatalf("there is no node %s", name)
	}
	return node
}

// addresses are those of a node's ports, a list a port.
func addresses(node *topo.NodePlan) string {
	var ports []string
	for _, port := range node.Ports {
		ports = append(ports, fmt.Sprint(port.Addrs))
	}
	return strings.Join(ports, " ")
}

// routes are a node's, one a line: "10.2.0.0/24 via 10.1.0.1 dev lan".
func routes(node *topo.NodePlan) []string {
	var lines []string
	for _, route := range node.Routes {
		lines = append(lines, routeLine(route))
	}
	return lines
}

func routeLine(route topo.RoutePlan) string {
	line := route.To.String()
	if route.Type != topo.Unicast {
		line = route.Type.String() + " " + line
	}
	if route.Via.IsValid() {
		line += " via " + route.Via.String()
	}
	if route.Dev != "" {
		line += " dev " + route.Dev
	}
	if route.Table != 0 {
		line += fmt.Sprintf(" table %d", route.Table)
	}
	if route.Metric != 0 {
		line += fmt.Sprintf(" metric %d", route.Metric)
	}
	return line
}

// same compares two lists of lines.
func same(t *testing.T, got, want []string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }
