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
// packet was dropped because it was not seen. Hops are what a probe met on its way, node by node:
// what let it pass.
//
// # Kinds
//
// Of each kind the word, as a matrix and Because have it, what became of the packet, as the
// sentence has it, and what accounts for it. The first ones are policies, or may be: see
// Cause.Policy; from notrouter on they look like a mistake in the test. Rows of package
// probes/internal/verdict have the rest of it: where it can happen, what confirms it. CAUSES.md
// has a sentence of each, a spec that shows it, and that one's judge.
//
//	drop         dropped        a rule or a chain's policy dropped it
//	reject       rejected       a rule dropped it and said so
//	blackhole    dropped        a blackhole route
//	unreachable  rejected       an unreachable route
//	prohibit     rejected       a prohibit route
//	noforward    not forwarded  a router whose forwarding is off
//	noroute      not routed     no route leads there; a policy where somebody took it away, or wants none
//	flow         dropped        a flow of an Open vSwitch dropped it, or sent it elsewhere
//	isolated     not bridged    two isolated ports of a bridge
//	locked       not bridged    a locked port of a switch, which has no entry for the sender
//	vlan         not bridged    a bridge's VLAN filter: the two ports are in different VLANs, or the tag is none of the port's
//	notflooded   not bridged    a switch has no entry for the MAC, and floods nothing there; a policy where it learns none either
//	nopath       kept apart     no chain of links joins the two
//	xfrm         dropped        a policy of xfrm (IPsec) that blocks
//	filter       dropped        a filter of tc dropped it; a policy where that drops whatever comes
//	notrouter    not forwarded  a host that others take for their gateway
//	loop         sent back      a route leads back to where the packet came from
//	linkdown     lost           an interface is down
//	nocarrier    lost           the other end of a link is down
//	tentative    not delivered  an IPv6 address that is not settled
//	noaddress    not delivered  nobody has the address
//	portstate    not bridged    a bridge's port that does not forward yet, or no more (STP)
//	tag          not taken      a frame with the tag of a VLAN that no interface there is of
//	neighbour    not sent on    nobody answers for the address on the link
//	queue        dropped        a queue of an interface (tc) dropped it
//	queued       waiting        it waits in a queue of an interface (tc), and may come later
//	lost         lost           netem lost it
//	parted       lost           the lab is cut there by Lab.Partition
//	xdp          taken          an XDP program took it
//	conntrack    dropped        connection tracking could not take it
//	noreader     dropped        a rule gave it to a queue that no program reads
//	tunnel       lost           what carries it was lost, or the tunnel's two ends do not fit
//	nohandshake  not sent on    a peer of WireGuard does not answer
//	notallowed   not taken      WireGuard allows no peer the address
//	mtu          too large      the packet is too large
//	ttl          dropped        the TTL expired
//	rpfilter     not accepted   the source may not come in there
//	noconnection  delivered      a segment of TCP that is of no connection
//	nolistener   refused        nobody has the port
//	backlog      not accepted   the listener's queue is full
//	nottaken     not taken      the socket that it was for dropped it
//	noanswer     delivered      delivered to a program, which said nothing
//	ignored      ignored        echo requests are ignored
//	wrongmac     lost           sent to a MAC that nobody on the link has
//	otheraddr    not accepted   the answer came from where it was not asked
//	martian      not accepted   a source that nobody outside may have, or loopback addresses
//	untranslated  not translated back  the answer to a translated request, whose translation nobody undid
//	conflict     taken          another node has the address as well, and took it
//	unknown      inconclusive   what was seen does not account for it
package evidence
