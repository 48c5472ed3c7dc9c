package verdict

import (
	"fmt"

	"github.com/nstest/nstest/probes/evidence"
)

var noPath = row{
	kind: evidence.NoPath, verb: "kept apart", policy: always, needs: needPlan | needLinks,
	at: map[stage]func(spot, *evidence.Cause) bool{
		apart: func(p spot, c *evidence.Cause) bool {
			c.Detail = fmt.Sprintf("no chain of links, bridges or tunnels joins %s and %s", p.Flow.From, p.Flow.To)
			return true
		},
	},
	confirmed:  confirmation{otherwise: "nothing was seen to arrive: there is no packet that a kernel could count"},
	unliftable: "there is nothing between the two that could be taken away",
}

// NoPath is the cause of two that nothing joins: see harness.Lab.Islands.
func NoPath(from, to string) evidence.Cause {
	c := evidence.Cause{Leg: evidence.Request}
	var p spot
	p.Flow.From, p.Flow.To = from, to
	p.explain(&c, apart)
	return c
}
