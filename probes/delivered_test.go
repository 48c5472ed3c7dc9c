package probes

import (
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
)

// A copy that was let in at the target is a leak, whatever ended the other.
func TestWhatMayBeDelivered(t *testing.T) {
	t.Parallel()
	nodes := harness.Up(t, flat("delivered", 3)).Nodes()
	target := nodes[0]
	rule := &evidence.Rule{Family: "inet", Table: "t", Chain: "c", Handle: 1}
	end := func(fate evidence.Fate, node string, seen bool) evidence.Packet {
		return evidence.Packet{Role: evidence.Request, Fate: fate, Node: node, Seen: seen}
	}
	elsewhere := &evidence.Cause{Kind: evidence.Drop, Node: "h1", Rule: rule}
	there := &evidence.Cause{Kind: evidence.Drop, Node: "h0", Rule: rule}
	for name, row := range map[string]struct {
		cause   *evidence.Cause
		packets []evidence.Packet
		want    bool
	}{
		"one that was dropped":                {elsewhere, []evidence.Packet{end(evidence.Dropped, "h1", true)}, false},
		"a copy that was let in":              {elsewhere, []evidence.Packet{end(evidence.Dropped, "h1", true), end(evidence.Delivered, "h0", true)}, true},
		"one that may have been":              {elsewhere, []evidence.Packet{end(evidence.Dropped, "h1", true), end(evidence.Delivered, "h0", false)}, true},
		"let in at a third":                   {elsewhere, []evidence.Packet{end(evidence.Dropped, "h1", true), end(evidence.Delivered, "h2", true)}, false},
		"dropped at the target":               {there, []evidence.Packet{end(evidence.Dropped, "h0", true)}, false},
		"dropped there, and a copy let in":    {there, []evidence.Packet{end(evidence.Dropped, "h0", true), end(evidence.Delivered, "h0", true)}, true},
		"nobody has the port":                 {&evidence.Cause{Kind: evidence.NoListener, Node: "h0"}, []evidence.Packet{end(evidence.Delivered, "h0", true)}, false},
		"nothing accounts for it":             {&evidence.Cause{Kind: evidence.Unknown, Node: "h0"}, []evidence.Packet{end(evidence.Delivered, "h0", false)}, true},
		"no cause":                            {nil, []evidence.Packet{end(evidence.Delivered, "h0", true)}, false},
		"a copy that was flooded for another": {elsewhere, []evidence.Packet{{Role: evidence.Request, Stray: true, Fate: evidence.Delivered, Node: "h0"}}, false},
	} {
		r := Result{Outcome: Silent, Cause: row.cause, Packets: row.packets, target: target, from: nodes[1]}
		if got := r.mayBeDelivered(); got != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
