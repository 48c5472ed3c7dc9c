package verdict

import (
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// What a node answers to a packet that came in by a VRF is looked up in that VRF's table: a
// way back that other tables have is none, and one that they lack is one.
func TestAnswersOfAVRF(t *testing.T) {
	t.Parallel()
	const vrf = 9
	for name, c := range map[string]struct {
		inside, outside unix.Errno
		kind            evidence.Kind
		leg             evidence.Role
	}{
		"no way in the VRF":        {unix.ENETUNREACH, 0, evidence.NoRoute, evidence.Answer},
		"a way in the VRF alone":   {0, unix.ENETUNREACH, evidence.Unknown, evidence.Request},
		"a way in both, and no no": {0, 0, evidence.Unknown, evidence.Request},
	} {
		s := newScene(wire.ICMP, false)
		seen := s.arrived("server")
		state := s.States["server"]
		for i := range state.Links {
			if state.Links[i].Name == "dmz" {
				state.Links[i].Master = vrf
			}
		}
		state.Links = append(state.Links, inspect.Link{Index: vrf, Name: "red", Kind: "vrf", Table: 100, Up: true, Carrier: true, MTU: 65536})
		for _, q := range Questions(s.Flow, *seen, vrf) {
			state.Lookups[q] = inspect.Lookup{Type: unix.RTN_UNICAST, Via: fwDmz4, Out: 2, Errno: c.inside}
			if q.Out = 0; q.In == 0 {
				state.Lookups[q] = inspect.Lookup{Type: unix.RTN_UNICAST, Via: fwDmz4, Out: 2, Errno: c.outside}
			}
		}
		if got := Explain(s.Observation); got.Kind != c.kind || got.Leg != c.leg {
			t.Errorf("%s: %s", name, got)
		}
	}
}
