package verdict

import "github.com/nstest/nstest/probes/evidence"

var filter = row{
	kind: evidence.Filter, verb: "dropped", needs: needPackets | needLookups | needLinks,
	policy: func(p spot, _ evidence.Cause) bool { return p.Heard.Filter.All },
	mend:   `where that is meant, say Because("filter"): what else the filter would drop is not known`,
	at: map[stage]func(spot, *evidence.Cause) bool{
		entered: func(p spot, c *evidence.Cause) bool { return p.filtered(p.in().Name, evidence.In, c) },
		leaving: func(p spot, c *evidence.Cause) bool { return p.filtered(p.link().Name, evidence.Out, c) },
	},
	confirmed:  confirmation{otherwise: "the count of drops of the filters' own queueing discipline (clsact, ingress) moves"},
	unliftable: "a filter of tc cannot be put back where it was; delete it (tc filter del) and ask again",
}

// filtered says whether a filter was seen to drop such a packet at the node's interface.
func (p spot) filtered(name string, direction evidence.Direction, c *evidence.Cause) bool {
	f := p.Heard.Filter
	c.Interface, c.Detail = name, f.Words
	return f.At == End{p.state.Name, name} && f.Direction == direction
}
