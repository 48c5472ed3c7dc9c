// Package account follows every packet of a probe, node by node, to its one end. It
// is pure: what taps and rules saw in, packets and their ends out; it knows no
// kernel and no verdict.
//
//	in := account.Input{
//		Asker: "pc", Target: "site", Way: []string{"pc", "fw", "site"}, Sent: 1,
//		Nodes: map[string]account.Node{"pc": {}, "fw": {Traced: true}, "site": {}},
//		Links: map[string][]account.Link{
//			"pc":   {{Index: 2, Name: "lan", Segment: "lan"}},
//			"fw":   {{Index: 2, Name: "lan", Segment: "lan"}, {Index: 3, Name: "wan", Segment: "wan"}},
//			"site": {{Index: 2, Name: "wan", Segment: "wan"}},
//		},
//		Sightings: seen, // by taps
//		Records:   told, // by rules
//	}
//	a := account.Of(in)
//	if a.Over(account.Request) && !a.Delivered() {
//		end, _ := a.Primary(account.Request) // "dropped by rule 7 of inet filter forward at fw"
//	}
//
// # How packets are told apart
//
// A link changes nothing of a packet: what goes out and what comes in at the other
// end agree in addresses, time to live, length and identity. A node that hands a
// packet on takes one from its time to live, and may translate its addresses. Where
// rules are traced, each packet at a node is a [Record]: it either was dropped, or
// has passed postrouting and needs an out of its own. What has neither is open.
package account
