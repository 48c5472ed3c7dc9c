package causes_test

import (
	"errors"
	"fmt"

	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

// agree says by an error where watching made a difference.
func (w *world) agree(bare, watched []probes.Result) error {
	if len(bare) != len(watched) {
		return fmt.Errorf("%d results unwatched, %d watched", len(bare), len(watched))
	}
	sends := sendersOf(watched)
	var errs []error
	for i, r := range watched {
		if why := w.differ(bare[i], r, sends[r.From]); why != "" {
			errs = append(errs, fmt.Errorf("%s\n  unwatched: %s\n  watched: %s\n  %s\n%s", why, bare[i], r, causeOf(r), r.Timeline))
		}
	}
	return errors.Join(errs...)
}

func (w *world) differ(bare, watched probes.Result, sends int) string {
	// Somebody else said no in the target's name: a rule, or whom it was translated to.
	// Only a watch can tell.
	forged := watched.Outcome == probes.Rejected && watched.By != watched.To && watched.Cause != nil && watched.Cause.Node == watched.By &&
		(watched.Cause.Kind == evidence.Reject || watched.Cause.Kind == evidence.NoListener && w.translates)
	switch {
	case bare.From != watched.From || bare.To != watched.To || bare.Addr != watched.Addr || bare.Probe.String() != watched.Probe.String():
		return "another question"
	case (watched.Cause == nil) != (watched.Outcome == probes.Answered):
		return "a cause without need, or none"
	case bare.Outcome == watched.Outcome:
	case bare.Outcome == probes.Refused && !bare.Proven && forged:
		return ""
	case sends > routeErrors && watched.Outcome == probes.Silent && byRoute(bare, watched.Cause) ||
		sends > routeErrors && bare.Outcome == probes.Silent && byRoute(watched, watched.Cause):
		return "" // whom the router tells is chance
	case givenUp(bare, watched) || givenUp(watched, bare):
		return "" // it takes a kernel some seconds to give a neighbour up, whoever waits for it
	default:
		return "another outcome"
	}
	switch {
	case bare.By == "" || watched.By == "" || bare.By == watched.By:
	case !bare.Proven && (w.translates || forged):
		// It is taken for the owner of the address that it came from, whoever sent it.
	default:
		return "by another"
	}
	return ""
}

// givenUp says whether one of two was silent as long as the asker's kernel asked for its
// neighbour, and the other was told that it had given up.
func givenUp(silent, told probes.Result) bool {
	return silent.Outcome == probes.Silent && told.Outcome == probes.Unsent && told.Errno == unix.EHOSTUNREACH
}

// routeErrors is how many ICMP errors about its routes an IPv4 router sends at once to
// an address, and one a second after that: ip_error, net/ipv4/route.c. The limit is the
// machine's, and no lab's.
const routeErrors = 5

// byRoute says whether an IPv4 router rejected a probe, and no rule.
func byRoute(r probes.Result, why *evidence.Cause) bool {
	return r.Outcome == probes.Rejected && r.Addr.Is4() && r.ICMP != nil && r.ICMP.Type == 3 && r.By == why.Node && why.Rule == nil && why.Leg == evidence.Request
}

// sendersOf counts for each node the packets that it is to send by IPv4 at least,
// questions or answers.
func sendersOf(results []probes.Result) map[string]int {
	sends := map[string]int{}
	for _, r := range results {
		if r.Addr.Is4() {
			sends[r.From]++
			sends[r.To]++
		}
	}
	return sends
}
