package verdict

import (
	"fmt"
	"strings"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

var queued = row{
	kind: evidence.Queued, verb: "waiting", policy: never, passes: always, needs: needPackets | needLookups | needLinks,
	mend:       "give the probe more time (Within), or the queue a higher rate or a shorter delay (Port.Impair)",
	at:         atQueues(spot.held, spot.held),
	confirmed:  confirmation{otherwise: "the queue says how many packets it holds when the probe's bound is over, and drops none like it"},
	unliftable: "what waits is stopped by nobody",
}

// held says whether packets wait in an interface's queue, when the probe's bound is over.
func (p spot) held(c *evidence.Cause, qdiscs []inspect.Qdisc) bool {
	if !p.Heard.Waited || p.unresolved() && len(p.owners()) == 0 {
		return false
	}
	var most uint32
	var names []string
	lossy := false
	for _, q := range qdiscs {
		if q.Holds == 0 || strings.HasSuffix(q.Kind, "fifo") && len(names) > 0 { // that of tbf
			continue
		}
		most, lossy = max(most, q.Holds), lossy || q.Loss > 0
		names = append(names, q.String())
	}
	if len(names) == 0 {
		return false
	}
	c.Detail = fmt.Sprintf("in %s, %s queued", strings.Join(names, " and "), packets(most))
	if lossy {
		c.Detail += ", or was lost there by chance"
	}
	return true
}

func packets(n uint32) string {
	if n == 1 {
		return "1 packet"
	}
	return fmt.Sprintf("%d packets", n)
}
