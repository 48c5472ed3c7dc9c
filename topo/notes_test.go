package topo_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// sites declares a gateway between a client on lan and two sites of those prefixes.
func sites(a, b string, list ...topo.Route) func(n *topo.Network) {
	return func(n *topo.Network) {
		lan := n.Switch("lan", "10.9.0.0/24")
		n.Router("gw", lan, n.Switch("site-a", a), n.Switch("site-b", b), n.Switch("other", "10.8.0.0/24"))
		n.Host("a", lan).Route(list...)
	}
}

func TestAmbiguousPrefixesAreLeftOut(t *testing.T) {
	t.Parallel()
	own := "node gw: its own 10.0.0.0/24 of segment site-a, 10.0.0.0/24 of segment site-b overlap"
	nested := "node gw: its own 10.0.0.0/16 of segment site-a, 10.0.0.0/24 of segment site-b overlap"
	checkAutomatic(t, []automatic{
		{"the same prefix on two segments", sites("10.0.0.0/24", "10.0.0.0/24"),
			map[string][]string{"a": {"10.8.0.0/24 via 10.9.0.1 dev lan"}},
			[]string{own, "node a: no automatic route to 10.0.0.0/24 of segment site-a, 10.0.0.0/24 of segment site-b: they overlap"}},
		{"one within the other", sites("10.0.0.0/16", "10.0.0.0/24"),
			map[string][]string{"a": {"10.8.0.0/24 via 10.9.0.1 dev lan"}},
			[]string{nested, "node a: no automatic route to 10.0.0.0/16 of segment site-a, 10.0.0.0/24 of segment site-b: they overlap"}},
		{"a declared route settles which is meant", sites("10.0.0.0/24", "10.0.0.0/24", topo.Route{To: "10.0.0.0/24", Via: "10.9.0.1"}),
			map[string][]string{"a": {"10.0.0.0/24 via 10.9.0.1 dev lan", "0.0.0.0/0 via 10.9.0.1 dev lan"}}, []string{own}},
		{"but only for its own prefix", sites("10.0.0.0/16", "10.0.0.0/24", topo.Route{To: "10.0.0.0/24", Via: "10.9.0.1"}),
			map[string][]string{"a": {"10.0.0.0/24 via 10.9.0.1 dev lan", "10.8.0.0/24 via 10.9.0.1 dev lan"}},
			[]string{nested, "node a: no automatic route to 10.0.0.0/16 of segment site-a: one that the declaration routes overlaps it"}},
	})
}

func TestAmbiguousWithTheNodesOwn(t *testing.T) {
	t.Parallel()
	checkAutomatic(t, []automatic{
		{"and the host's own", sites("10.9.0.0/25", "10.7.0.0/24"),
			map[string][]string{"a": {"10.7.0.0/24 via 10.9.0.1 dev lan", "10.8.0.0/24 via 10.9.0.1 dev lan"}},
			[]string{"node gw: its own 10.9.0.0/24 of segment lan, 10.9.0.0/25 of segment site-a overlap",
				"node a: no automatic route to 10.9.0.0/25 of segment site-a: its own 10.9.0.0/24 of segment lan overlaps"}},
		{"two of the host's own", func(n *topo.Network) {
			lan, too := n.Switch("lan", "10.9.0.0/24"), n.Switch("too", "10.9.0.0/24")
			n.Router("gw", lan, n.Switch("far", "10.9.0.0/16"))
			n.Host("a", lan, too)
		}, map[string][]string{"a": nil}, []string{
			"node gw: its own 10.9.0.0/16 of segment far, 10.9.0.0/24 of segment lan overlap",
			"node a: no automatic route to 10.9.0.0/16 of segment far: its own 10.9.0.0/24 of segment lan, 10.9.0.0/24 of segment too overlap"}},
		{"of a subnet that the node is on by a further address", func(n *topo.Network) {
			lan := n.Switch("lan", "10.9.0.0/24")
			n.Router("gw", lan, n.Switch("one", "10.1.0.0/24"), n.Switch("two", "10.2.0.0/24"))
			n.Host("a", lan.Also("10.1.0.5/24"))
			n.Host("b", lan.Also("10.1.0.6/32", "10.9.0.200/24"))
		}, map[string][]string{"a": {"10.2.0.0/24 via 10.9.0.1 dev lan"}, "b": {"0.0.0.0/0 via 10.9.0.1 dev lan"}},
			[]string{"node a: no automatic route to 10.1.0.0/24 of segment one: its own address 10.1.0.5/24 overlaps"}},
		{"not of a prefix that the node does not reach", func(n *topo.Network) {
			lan := n.Switch("lan", "10.9.0.0/24")
			n.Router("gw", lan, n.Switch("site-a", "10.0.0.0/24"))
			n.Host("a", lan)
			n.Host("b", n.Switch("site-b", "10.0.0.0/24"))
		}, map[string][]string{"a": {"0.0.0.0/0 via 10.9.0.1 dev lan"}}, nil},
	})
}

func TestANoteListsTenOfMany(t *testing.T) {
	t.Parallel()
	network := topo.New("tenants")
	lan := network.Switch("lan", "10.9.0.0/24")
	at := []topo.Attachment{lan}
	for i := range 12 {
		at = append(at, network.Switch(fmt.Sprintf("t%d", i), "10.0.0.0/24"))
	}
	network.Router("gw", at...).NoRoutes()
	network.Host("a", lan)
	notes := mustPlan(t, network).Notes
	if len(notes) != 1 || !strings.HasPrefix(notes[0], "node a: no automatic route to 10.0.0.0/24 of segment t0, ") ||
		!strings.HasSuffix(notes[0], ", 10.0.0.0/24 of segment t9 and 2 more: they overlap") {
		t.Errorf("%q", notes)
	}
}
