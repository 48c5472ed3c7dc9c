package harness

import (
	"testing"

	"github.com/nstest/nstest/topo"
)

// Indexes have gaps where a lab was changed: a port that is found by its switch has its own.
func TestAnAccessPortBehindAGap(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	lan, trunk := network.Switch("lan", "10.0.0.0/24"), network.Switch("trunk")
	network.Router("fw", trunk, network.VLAN("staff", trunk, 100, "10.0.1.0/24"))
	network.Host("pc", lan, trunk.Access(100))
	plan, err := network.Plan()
	if err != nil {
		t.Fatal(err)
	}
	changed := network.Copy(plan)
	changed.Node("pc").Detach(lan)
	s := siteOf(t, changed)
	lab := newLab(&layout{plan: s.plan, site: s})
	pc, _ := s.plan.Node("pc")
	port := newNode(lab, pc, new(ground)).Port("trunk")
	if want := s.indexes[spot{"pc", "trunk"}]; port.index != want || want != firstIndex+1 {
		t.Errorf("index %d, not %d", port.index, want)
	}
}
