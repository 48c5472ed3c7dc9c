package probes

import (
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
)

// Of an address that does not decide it is enough that nothing was delivered; but what
// became of a request at the target must be known for that.
func TestWhatIsLostAtTheTargetIsNotKeptFromIt(t *testing.T) {
	t.Parallel()
	network := topo.New("aside")
	network.Host("site", network.Switch("lan", "10.0.0.0/24"))
	site := harness.Up(t, network).Node("site")
	for node, want := range map[string]standing{"site": unclear, "fw": holds} {
		m := &IsolationMatcher{leg: evidence.Request}
		f := finding{aside: true, Result: Result{From: "pc", To: "site", target: site, Outcome: Silent, Cause: &evidence.Cause{Kind: evidence.Unknown, Node: node, Leg: evidence.Request}}}
		if is, why := m.judgeAside(f); is != want {
			t.Errorf("last seen at %s: %v, want %v: %v", node, is, want, why)
		}
	}
}
