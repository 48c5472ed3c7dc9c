package verdict

import (
	"fmt"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

var rpFilter = row{
	kind: evidence.RPFilter, verb: "not accepted", policy: never, needs: needPackets | needLinks | needLookups,
	mend:       "mend the route back, or set rp_filter to 2",
	sysctls:    []string{"net/ipv4/conf/all/rp_filter", "net/ipv4/conf/*/rp_filter"},
	at:         map[stage]func(spot, *evidence.Cause) bool{handed: filtersSource, delivered: filtersSource},
	confirmed:  confirmation{counters: []string{"TcpExt.IPReversePathFilter"}, ends: []string{"TcpExt.IPReversePathFilter"}},
	unliftable: "reverse path filtering is no policy",
}

// filtersSource says whether reverse path filtering (RFC 3704) keeps the packet
// out: the greater of the link's setting and that of all counts.
func filtersSource(p spot, c *evidence.Cause) bool {
	source := p.seen.Source
	if source.Is6() {
		return false
	}
	mode := max(p.state.Sysctls["net/ipv4/conf/all/rp_filter"], p.state.Sysctls["net/ipv4/conf/"+p.in().Name+"/rp_filter"])
	back, asked := p.state.Lookups[inspect.Question{To: source, Out: p.vrf()}]
	if !asked || mode == "" || mode == "0" {
		return false
	}
	switch {
	case back.Errno != 0:
		c.Detail = fmt.Sprintf("rp_filter=%s, and no route back to %s", mode, source)
	case mode == "1" && back.Out != p.seen.Index:
		c.Detail = fmt.Sprintf("rp_filter=1, and the route back to %s leaves by another interface", source)
	default:
		return false
	}
	return true
}
