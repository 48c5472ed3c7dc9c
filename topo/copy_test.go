package topo_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// A copy comes to the same plan, also one that keeps the plan, and so does a copy of that.
func TestCopyHasTheSamePlan(t *testing.T) {
	t.Parallel()
	for seed := range uint64(seeds) {
		network := randomWorld(seed).network
		plan := mustPlan(t, network)
		copied := network.Copy(nil)
		for what, other := range map[string]*topo.Network{"a copy": copied, "one that keeps it": copied.Copy(plan), "a copy of that": copied.Copy(plan).Copy(plan)} {
			again := mustPlan(t, other)
			if !reflect.DeepEqual(plan.Segments, again.Segments) || !reflect.DeepEqual(plan.Nodes, again.Nodes) {
				t.Fatalf("seed %d: %s has another plan:\n%s\n%s", seed, what, plan, again)
			}
		}
	}
}

// What stays keeps what it has, whoever else comes or goes; without the plan it would not.
func TestCopyKeepsWhatStays(t *testing.T) {
	t.Parallel()
	moved := 0
	for seed := range uint64(seeds) {
		network := randomWorld(seed).network
		plan := mustPlan(t, network)
		change := func(n *topo.Network) *topo.Plan {
			n.Remove(n.Node(plan.Nodes[0].Name))
			extra := n.Switch("extra", "203.0.113.0/24")
			n.Router("extra", extra)
			n.Node(plan.Nodes[1].Name).Attach(extra)
			for _, s := range plan.Segments { // a wire that has lost an end
				if s.Kind == topo.KindWire && slices.ContainsFunc(s.Ports, func(ref topo.PortRef) bool { return ref.Node == plan.Nodes[0].Name }) {
					n.Remove(n.Segment(s.Name))
				}
			}
			changed, err := n.Plan()
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			return changed
		}
		kept, anew := change(network.Copy(plan)), change(network.Copy(nil))
		for _, was := range plan.Nodes[1:] {
			after, _ := kept.Node(was.Name)
			other, _ := anew.Node(was.Name)
			for _, d := range after.Devices {
				before, has := was.Device(d.Name)
				if has && !reflect.DeepEqual(*before, d) {
					t.Fatalf("seed %d: %s of %s was %+v, and is %+v", seed, d.Name, was.Name, *before, d)
				}
			}
			if !reflect.DeepEqual(after.Devices, other.Devices) {
				moved++
			}
		}
	}
	if moved < seeds {
		t.Errorf("only %d nodes would have had to change", moved)
	}
}

// A segment or a device of the original means the copy's, also in a copy of a copy.
func TestCopyKnowsTheOriginals(t *testing.T) {
	t.Parallel()
	network := topo.New("n")
	lan := network.Switch("lan", "10.0.1.0/24")
	r := network.Router("r", lan)
	own := r.Dummy("own").Address("192.0.2.1/32")
	plan := mustPlan(t, network)
	copied := network.Copy(nil).Copy(plan)
	copied.Host("late", lan.At("10.0.1.9")).Route(topo.Route{To: "198.51.100.0/24", Dev: lan})
	copied.Node("r").Route(topo.Route{To: "203.0.113.0/24", Dev: own}).Rule(topo.Rule{In: lan, Table: 7}).NAT(topo.Masquerade(lan))
	after := mustPlan(t, copied)
	if got := addresses(nodeOf(t, after, "late")); got != "[10.0.1.9/24]" {
		t.Error(got)
	}
	if len(mustPlan(t, network).Nodes) != 1 {
		t.Error("the original was changed")
	}
	copied.Remove(r, lan)
	if _, err := copied.Plan(); err == nil || !strings.Contains(err.Error(), "node late: ") {
		t.Error(err)
	}
}
