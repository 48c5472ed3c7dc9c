// Package verdict explains the fate of a probe: an Observation in, a Cause out. It
// is pure: it needs no kernel, and is tested without one.
//
//	cause := verdict.Explain(verdict.Observation{Flow: flow, Timeline: timeline, States: states})
//	fmt.Println(cause)
//	// the request was not forwarded at fw/lan: net.ipv4.ip_forward=0
//
// # One file a cause
//
// A kind of cause is a row: its verb, whether somebody wants it so, at which stages
// of a packet's way it can happen and how it is recognised there, what must be read
// to know it, what confirms it, how it is lifted. Each row has a file of its own, and
// order.go has the only list of them. A new kind is such a file, its constant in
// package evidence, and a line in that list; a test fails where a row lacks a part.
//
// Explain finds out how far a packet came, and asks the rows of each stage there, in
// the order of the list, whether they account for its end: as the kernel does, which
// first looks whether an address is its own, then for a route, then for a neighbour.
package verdict
