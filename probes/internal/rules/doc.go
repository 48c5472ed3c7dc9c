// Package rules says what firewall rules are about, without a kernel: which ports they
// name, whether one matches a packet, and whether another packet like it could have been
// treated otherwise.
//
//	set, err := inspect.ReadRuleset(conn) // of each node on the way
//	...
//	for _, port := range rules.Named(set) { // what a bare question asks besides ICMP
//		fmt.Println(port, "because of", port.Rule)
//	}
//
// After a probe, for each node where the kernel traced its request, with the rules that
// matched and the policies that it met there, in order:
//
//	packet := rules.Packet{Src: from, Dst: to, Protocol: new(uint8(6)), DstPort: new(uint16(443)), State: new(expr.CtStateBitNEW)}
//	for _, memory := range rules.Deciding(set, packet, steps) { // or Prepare(set).Deciding for many packets
//		switch memory.Kind {
//		case rules.Period: // ask memory.Period times: each time another branch
//		case rules.Users: // the answer is about who sends
//		default: // inconclusive because memory
//		}
//	}
//
// And whether it would have ended otherwise had the sender chosen another source port, TTL
// or whatever a program may choose:
//
//	for _, choice := range rules.Prepare(set).Choosing(packet, steps) {
//		if choice.Traits == rules.SourcePort {
//			ports := rules.Ports([]rules.Choice{choice}, *packet.SrcPort) // ask from each
//		} // else inconclusive because choice
//	}
//
// A field of a Packet that is not set is not known, and what is not known is answered
// with Maybe: to leave out costs precision, to set wrongly costs soundness. It is the
// packet as it is at the node, so after another node's NAT with the new addresses. A
// Step's Verdict is worth setting: with it a verdict map that counts is followed.
//
// Maybe is said of whatever the kernel's state decides: limit, quota, ct count, numgen,
// hash, fib, socket, rt, osf, dynamic sets and elements with a timeout, ct but state and
// direction, header options, and of matches of iptables but tcp, udp, icmp, multiport,
// mark, state and conntrack's states. An expression that is not known in full is Maybe, and
// of kind Unread where it may decide.
package rules
