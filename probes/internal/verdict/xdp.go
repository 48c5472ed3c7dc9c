package verdict

import "github.com/nstest/nstest/probes/evidence"

var xdp = row{
	kind: evidence.XDP, verb: "taken", policy: never, needs: needPackets | needLinks | needPlan,
	mend: `where that is meant, say Because("xdp"): what else the program would take is not known`,
	at: map[stage]func(spot, *evidence.Cause) bool{
		// It comes before all that a watch sees, so the frame left, and was seen nowhere else.
		onLink: func(p spot, c *evidence.Cause) bool {
			for _, peer := range p.receivers() {
				if peer.link.XDP {
					moves(c, peer.End)
					c.Detail = "an XDP program there gets each frame first"
					return true
				}
			}
			return false
		},
	},
	confirmed:  confirmation{otherwise: "the program is attached, and the frame was seen to leave for it and nowhere else; the kernel counts nothing"},
	unliftable: "an XDP program cannot be put back as it was; detach it (ip link set ... xdp off) and ask again",
}
