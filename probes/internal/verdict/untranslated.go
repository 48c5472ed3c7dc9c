package verdict

import (
	"fmt"
	"net/netip"

	"github.com/nstest/nstest/probes/evidence"
)

var untranslated = row{
	kind: evidence.Untranslated, verb: "not translated back", policy: never, needs: needPackets | needAddrs,
	mend:       "have both ways of a connection tracked, and in one zone",
	at:         map[stage]func(spot, *evidence.Cause) bool{delivered: keepsAnswer},
	confirmed:  confirmation{otherwise: "the answer was seen to come in where the request got its source, and not to go on"},
	unliftable: "a translation that nobody undoes is no policy",
}

// keepsAnswer says whether the answer came to a node that had given the request an address of
// its own, and that takes it for itself.
func keepsAnswer(p spot, c *evidence.Cause) bool {
	if p.leg != evidence.Answer || p.seen.Node == p.Flow.From {
		return false
	}
	var own netip.Addr
	for _, s := range p.Timeline {
		switch {
		case s.Role != evidence.Request || s.Node != p.seen.Node || s.Foreign:
		case s.Direction == evidence.In:
			own = s.Source
		case s.Direction == evidence.Out && own.IsValid() && s.Source != own && s.Source == p.to:
			c.Detail = fmt.Sprintf("%s stands for %s there, and it was not known as the answer: it is not tracked, or in another zone than the request", p.to, own)
			return true
		}
	}
	return false
}
