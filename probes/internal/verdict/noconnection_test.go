package verdict

import (
	"testing"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

// A segment that opens no connection is of none, whether TCP refuses it or says nothing; and a
// reset of the target's that a rule ended is its answer.
func TestExplainsSegmentsOfNoConnection(t *testing.T) {
	t.Parallel()
	crafted := func(s *scene, flags byte) {
		s.Flow.Crafted, s.Flow.Flags = true, flags
		s.arrived("server")
	}
	explained(t, map[string]example{
		"ignored": {protocol: wire.TCP, happen: func(s *scene) {
			crafted(s, 0)
		}, kind: evidence.NoConnection, word: "noconnection@server", text: "the request was delivered at server/dmz: TCP has no connection at port 53 that a segment without flags is of"},
		"refused": {protocol: wire.TCP, happen: func(s *scene) {
			crafted(s, wire.ACK)
			s.Heard.Refuser = "server"
		}, kind: evidence.NoConnection, word: "noconnection@server", text: "the request was delivered at server/dmz: TCP has no connection at port 53 that a segment with ACK is of"},
		"what opens a connection": {protocol: wire.TCP, happen: func(s *scene) {
			crafted(s, wire.SYN)
			s.States["server"].Listeners = nil
			s.Heard.Refuser = "server"
		}, kind: evidence.NoListener, word: "nolistener@server", text: "the request was refused at server/dmz: nobody has port 53"},
		"a reset that a rule drops": {protocol: wire.TCP, happen: func(s *scene) {
			crafted(s, wire.ACK)
			s.see(evidence.Refusal, "server/dmz out", "fw/dmz in")
			s.rule(evidence.Refusal, "fw", &rejecting).Index = 3
		}, kind: evidence.Reject, word: "reject@fw", policy: true, text: `the request arrived; the answer was rejected at fw by rule "tcp dport 22 reject" of ip filter FORWARD`},
	})
}
