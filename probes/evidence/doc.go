// Package evidence has the nouns of an explanation: what was seen of a probe, and
// what stopped it.
//
//	result, err := probes.Watch(ctx, client, server, probes.UDP(53))
//	...
//	fmt.Println(result.Cause)
//	// the request was dropped at fw by rule "udp dport 53 drop" of inet filter forward
//	fmt.Println(result.Cause.Kind == evidence.Drop, result.Cause.Policy)
//	fmt.Println(result.Timeline)
//
// A Timeline is the Sightings of one probe's packets, in order: at interfaces, and
// by rules. A Cause is the one sentence that the timeline and the kernels' state add
// up to. Its Kind says in a word what stopped the packet, and Policy whether
// somebody wants it so. Where something was not seen, or nothing accounts for the
// packet's end, the kind is Unknown, and the cause says what is known: never that a
// packet was dropped because it was not seen.
package evidence
