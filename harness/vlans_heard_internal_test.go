package harness

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// heard are the ports of a segment's link that hear each other, as "a b | c".
func heard(t *testing.T, s *site, segment string) string {
	t.Helper()
	planned, ok := s.plan.Segment(segment)
	if !ok {
		t.Fatalf("no segment %s", segment)
	}
	var groups []string
	for _, group := range s.hearing().groups(s.onLink(planned)) {
		var names []string
		for _, ref := range group {
			names = append(names, ref.Node+"/"+ref.Port)
		}
		groups = append(groups, strings.Join(names, " "))
	}
	return strings.Join(groups, " | ")
}

func siteOf(t *testing.T, network *topo.Network) *site {
	t.Helper()
	plan, err := network.Plan()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{plan: plan}
	s.number()
	return s
}

func TestWhoHearsWhom(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	trunk := network.Switch("trunk", "10.0.0.0/24")
	red, blue := network.VLAN("red", trunk, 100, "10.0.1.0/24"), network.VLAN("blue", trunk, 200, "10.0.2.0/24")
	over := network.VXLAN("over", trunk, 7, "10.0.7.0/24")
	network.Host("a", trunk, red, blue, over)
	network.Host("b", trunk.Access(100))
	network.Host("c", trunk.Trunk(100), red, blue)
	network.Host("d", trunk.Access(300), over)
	network.Host("e", trunk)
	network.Host("f", trunk.Access(300))
	bonded := network.Host("g", trunk.As("eth0"), trunk.As("eth1"), blue)
	bonded.Bond("bond0", topo.ActiveBackup, trunk.As("eth0"), trunk.As("eth1"))
	s := siteOf(t, network)
	for segment, want := range map[string]string{
		"trunk": "a/trunk e/trunk g/eth0 g/eth1 | c/trunk | d/trunk f/trunk", // b's port is on red
		"red":   "a/red b/trunk c/red", "blue": "a/blue g/blue | c/blue", "over": "a/over | d/over",
	} {
		if got := heard(t, s, segment); got != want {
			t.Errorf("%s: %s, not %s", segment, got, want)
		}
	}
	planned, _ := s.plan.Segment("blue")
	if got := s.around(planned, spot{"g", "blue"}).Ports; len(got) != 2 {
		t.Errorf("around g: %v", got)
	}
}

// What carries the ends of a tunnel passes a router, whatever they hear on their switches.
func TestEndsOfARoutedTunnelHearEachOther(t *testing.T) {
	t.Parallel()
	network := topo.New("office")
	home, trunk := network.Switch("home", "10.1.0.0/24"), network.Switch("trunk", "10.0.0.0/24")
	over := network.VXLAN("over", trunk, 7, "10.0.7.0/24")
	network.Host("a", trunk, over)
	network.Host("b", trunk.Access(300))
	network.Host("c", home, over.Over(home))
	network.Router("r", home, trunk)
	s := siteOf(t, network)
	for segment, want := range map[string]string{"trunk": "a/trunk r/trunk | b/trunk", "over": "a/over c/over"} {
		if got := heard(t, s, segment); got != want {
			t.Errorf("%s: %s, not %s", segment, got, want)
		}
	}
}

func TestABridgeOfANodeJoinsVLANs(t *testing.T) {
	t.Parallel()
	network := topo.New("joined")
	trunk := network.Switch("trunk", "10.0.0.0/24")
	network.Host("a", trunk.Access(100))
	network.Host("b", trunk.Access(200))
	network.Host("c", trunk.Access(300))
	mid := network.Host("mid", trunk.Access(100).As("one"), trunk.Access(200).As("two").NoAddress())
	mid.Bridge("br", trunk.As("one"), trunk.As("two"))
	s := siteOf(t, network)
	if got, want := heard(t, s, "trunk"), "a/trunk b/trunk mid/one mid/two | c/trunk"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

func TestAllHearEachOtherWithoutVLANs(t *testing.T) {
	t.Parallel()
	network := topo.New("plain")
	trunk := network.Switch("trunk", "10.0.0.0/24")
	red := network.VLAN("red", trunk, 100, "10.0.1.0/24")
	for i := range 3 {
		network.Host(fmt.Sprint("h", i), trunk, red)
	}
	s := siteOf(t, network)
	for _, segment := range []string{"trunk", "red"} {
		planned, _ := s.plan.Segment(segment)
		groups := s.hearing().groups(planned)
		if len(groups) != 1 || !slices.Equal(groups[0], planned.Ports) {
			t.Errorf("%s: %v", segment, groups)
		}
	}
}
