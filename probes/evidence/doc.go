// Package evidence watches a probe through a lab and explains its fate.
//
//	watch, err := evidence.Open(lab.Nodes(), evidence.Flow{Protocol: evidence.UDP, Port: 53})
//	...
//	defer watch.Close()
//	trail := watch.Follow(evidence.Flow{From: "client", To: "server", Addr: server, Protocol: evidence.UDP, Port: 53})
//	// send a datagram: evidence.RequestWord and trail.Flow.Nonce
//	cause := watch.Conclude(ctx, trail)
//	fmt.Println(cause)
//	// the request was dropped at fw by rule "udp dport 53 drop" of inet filter forward
//	fmt.Println(watch.Timeline(trail))
//
// Package probes does so for whoever asserts that something is isolated; few
// tests need this package by itself, but for its kinds of cause.
//
// # What is watched
//
// A tap in every namespace sees each packet of the flow that an interface gets or
// hands to its driver. Where a node has nftables rules (those of iptables-nft
// among them) the kernel is asked to trace the flow's packets through them, by a
// table of the watch's own that comes before all others and is taken away again.
// Where a packet was last seen, the state of that node's kernel is read: links,
// addresses, routes and what a lookup of them says, neighbours, sysctls, sockets.
//
// # What is concluded
//
// Explain turns these observations into one Cause, and needs no kernel to do so.
// Where something was lost on the way here, or nothing accounts for the packet's
// end, the cause is Unknown, and says what is known: never that a packet was
// dropped because it was not seen.
package evidence
