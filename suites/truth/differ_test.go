package truth_test

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

// byChance are causes of which a kernel tells the asker only now and then, or late.
var byChance = []evidence.Kind{evidence.NoRoute, evidence.NoForward, evidence.Blackhole, evidence.Unreachable, evidence.Prohibit, evidence.Neighbour, evidence.NoAddress, evidence.LinkDown, evidence.NoCarrier, evidence.Unknown, evidence.WrongMAC}

// differ compares what was said unwatched with what was under watch.
func (r *round) differ(unwatched, watched []probes.Result) string {
	if r.w.remembers() || len(watched) == 0 {
		return ""
	}
	if len(unwatched) != len(watched) {
		return fmt.Sprintf("%d results unwatched, %d watched", len(unwatched), len(watched))
	}
	for i, w := range watched {
		if bare := unwatched[i]; apart(bare, w) {
			return fmt.Sprintf("unwatched: %s\nwatched: %s (%s)", bare, w, causeOf(w))
		}
	}
	return ""
}

// apart says whether two results of one question cannot both be true.
func apart(bare, watched probes.Result) bool {
	said := func(o probes.Outcome) bool { return bare.Outcome == o || watched.Outcome == o }
	switch {
	case bare.From != watched.From || bare.To != watched.To || bare.Addr != watched.Addr || bare.Probe.String() != watched.Probe.String():
		return true
	case leftOpen(watched):
		return false
	case bare.Outcome == watched.Outcome:
		return bare.Proven && watched.By != "" && bare.By != watched.By
	case said(probes.Answered):
		return true
	case watched.Cause != nil && slices.Contains(byChance, watched.Cause.Kind):
		return false
	case unheard(watched) && said(probes.Refused):
		return false
	case givenUp(bare, watched) || givenUp(watched, bare):
		return false // it takes a kernel some seconds to give a neighbour up, whoever waits for it
	}
	return !said(probes.Refused) || !said(probes.Rejected) // who it was, only a watch can tell
}

// givenUp says whether one of two was silent as long as the asker's kernel asked for its
// neighbour, and the other was told that it had given up.
func givenUp(silent, told probes.Result) bool {
	return silent.Outcome == probes.Silent && told.Outcome == probes.Unsent && told.Errno == unix.EHOSTUNREACH
}

// unheard says whether a probe was seen to come to a port that nobody has, whose kernel said so to
// nobody: with much to do it loses now and then what it has to say itself.
func unheard(watched probes.Result) bool {
	c := watched.Cause
	return watched.Outcome == probes.Silent && c != nil && c.Kind == evidence.NoListener && c.Leg == evidence.Request
}
