package verdict

import (
	"fmt"
	"slices"
	"time"

	"github.com/nstest/nstest/probes/evidence"
)

var otherAddr = row{
	kind: evidence.OtherAddr, verb: "not accepted", policy: never, needs: needPackets,
	mend:       "bind the service to the address that is asked",
	at:         map[stage]func(spot, *evidence.Cause) bool{delivered: fromElsewhere},
	confirmed:  confirmation{otherwise: "the answer was seen to come in, from there"},
	unliftable: "an address that was not asked is no policy",
}

// fromElsewhere says whether an answer came to the asker from an address or port that
// was not asked: of a service that listens everywhere, and answers from the node's first
// address, or past the translation that the request met. The asker's own translation
// comes after.
func fromElsewhere(p spot, c *evidence.Cause) bool {
	if p.leg != evidence.Answer || p.seen.Node != p.Flow.From || p.seen.ByRule() {
		return false
	}
	asked, first := false, p.firstFromThere()
	for _, s := range p.Timeline {
		if s.Role != evidence.Request || s.Node != p.Flow.From || s.Direction != evidence.Out || s.At.After(first) {
			continue // what it sends afterwards may be the refusal
		}
		if s.Destination == p.seen.Source && s.DestinationPort == p.seen.SourcePort {
			return false
		}
		asked = true
		c.Detail = fmt.Sprintf("it came from %s, which was not asked", p.seen.Source)
		if s.Destination == p.seen.Source {
			c.Detail = fmt.Sprintf("it came from port %d, which was not asked", p.seen.SourcePort)
		}
	}
	return asked
}

// firstFromThere is when the first answer came to the asker from where this one did. A
// request that is sent again is answered again.
func (p spot) firstFromThere() time.Time {
	first := p.seen.At
	for _, s := range p.Timeline {
		if s.Role == evidence.Answer && s.Node == p.seen.Node && s.Direction == evidence.In && s.Source == p.seen.Source &&
			s.SourcePort == p.seen.SourcePort && s.At.Before(first) {
			first = s.At
		}
	}
	return first
}

// declined says whether it is the asker that refuses what it got as an answer.
func (o Observation) declined() bool {
	return slices.ContainsFunc(o.Timeline, func(s evidence.Sighting) bool {
		return s.Role == evidence.Answer && s.Node == o.Flow.From && s.Direction == evidence.In
	})
}
