package verdict

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

var noConnection = row{
	kind: evidence.NoConnection, verb: "delivered", policy: never, needs: needPackets,
	mend:       "stop it on its way, or expect what TCP says of it (BeRefusedBy)",
	at:         map[stage]func(spot, *evidence.Cause) bool{accepted: ofNoConnection, refused: ofNoConnection},
	confirmed:  confirmation{otherwise: "Tcp.InSegs moves, and Tcp.OutRsts with it where it is refused"},
	unliftable: "what TCP says of a segment without a connection is no policy",
}

// ofNoConnection says whether a request is a segment that TCP takes for no beginning of a
// connection (RFC 9293, 3.10.7).
func ofNoConnection(p spot, c *evidence.Cause) bool {
	const opens = wire.FIN | wire.SYN | wire.RST | wire.ACK
	if !p.Flow.Crafted || p.leg != evidence.Request || p.Flow.Flags&opens == wire.SYN {
		return false
	}
	what := "a segment without flags"
	if p.Flow.Flags != 0 {
		what = fmt.Sprintf("a segment with %s", wire.FlagNames(p.Flow.Flags))
	}
	c.Detail = fmt.Sprintf("TCP has no connection at port %d that %s is of", p.port(), what)
	return true
}

// resetDropped explains a reset that a rule ended the way of: of a segment without a connection it
// is the answer, where the target sent it.
func (o Observation) resetDropped() (evidence.Cause, bool) {
	at := slices.IndexFunc(o.Timeline, func(s evidence.Sighting) bool { return s.Role == evidence.Refusal && s.Dropped() })
	if !o.Flow.Crafted || o.Heard.Refuser != "" || at < 0 {
		return evidence.Cause{}, false
	}
	dropped, by := o.Timeline[at], o.Timeline.Refuser()
	if by == "" { // its own rules had it
		by = dropped.Node
	}
	if _, came := o.cameTo(by); !came || o.Flow.To != "" && by != o.Flow.To {
		return evidence.Cause{}, false
	}
	dropped.Role = evidence.Answer
	return o.dropped(dropped), true
}
