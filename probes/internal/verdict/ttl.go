package verdict

import "github.com/nstest/nstest/probes/evidence"

var ttl = row{
	kind: evidence.TTL, verb: "dropped", policy: never, needs: needPackets,
	mend: "raise the TTL, or mend the routes if packets go round",
	at: map[stage]func(spot, *evidence.Cause) bool{
		handed: func(p spot, c *evidence.Cause) bool {
			c.Detail = "TTL expired"
			return p.seen.TTL == 1
		},
	},
	confirmed:  confirmation{counters: []string{"Ip.InHdrErrors", "Ip6.InHdrErrors"}},
	unliftable: "the probe's own TTL is no policy",
}
