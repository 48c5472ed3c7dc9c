// Package policy tries every rule of a firewall, on the kernel that has them, and says what a change of rules does. See
// CompareRules, Compare and the matcher BehaveLike for the second; Of and the matcher MatchPolicy say what it does from zone to zone. The first is
//
//	report, err := policy.Cover(ctx, lab, "fw")
//	...
//	fmt.Print(report)
//
// prints, chain by chain, what became of each rule:
//
//	fw: 5 rules and policies: 3 decided, 1 shadowed, 1 needs
//	inet filter forward
//	  1  ct state established accept         decided   tcp 10.0.1.1:45732 > 10.0.2.1:80 SYN, in by lan, new; then tcp 10.0.2.1:80 > 10.0.1.1:45732 SYN,ACK, in by dmz, established
//	  2  tcp dport 22 drop                   decided   tcp 10.0.1.1:52505 > 10.0.2.1:22 SYN, in by lan, new
//	  3  ip saddr 10.0.1.1 tcp dport 22 accept  shadowed  by rule 2 of inet filter forward (tcp dport 22 drop)
//	  4  ip daddr 192.0.2.1 accept           needs     routes, addresses or interfaces that this lab has not: it sends no such packet through forward
//	  -  policy drop                         decided   tcp 10.0.2.1:39861 > 10.0.1.1:23463 SYN, in by dmz, new
//
// A report is data, too: a test expects that report.Of(policy.Shadowed) is empty. So is a Difference. Both are written as JSON and read back, and
// CompareReports says in what two kernels differ that each wrote theirs; Markdown is for a pull request, ExitCode for a program of CI.
//
// Report.Suggest is the Go source of the probes that a test needs for the rules which no test has tried, by what NSTEST_RULE_COVERAGE says:
//
//	// rule 2 of inet filter forward (tcp dport 22 drop)
//	expect(lab.Node("client")).To(probes.BeIsolatedFrom(netip.MustParseAddr("10.0.2.1"), probes.TCP(22)).At("fw").By("tcp dport 22 drop"))
//
// # How it is known
//
// A small model of the rules proposes a packet for each. The packet is sent at the node's links, as if from who
// would send it, or by the node itself, in a twin of the lab: the lab is left alone, with its connections and sets.
// The kernel's trace says which rules it met. So what is called Decided or Matched was seen, whatever the model
// thinks; Rule.Witness is the packet.
//
// What there is not (Shadowed, Unreachable, Unreferenced) nobody can see. It follows from the model, and so is said only
// where each expression that takes packets away is modelled exactly: interfaces and what their frames are, addresses, protocols, ports, ICMP's type and
// code, TCP's flags, states of conntrack and which of ICMP's types have one, the TTL, what the node takes an IPv4 address for (fib, addrtype),
// marks that no rule sets, sets and maps that no rule changes and whose elements stay for two minutes; of iptables-nft tcp, udp, icmp, multiport, iprange, addrtype, ttl, hl, mark,
// state and conntrack's states. All else is never held to take a packet.
//
// A rule of which neither can be said is Needs, if it is known what that would take: an address that this lab has not, another state of a
// limit or of what came before (recent, a dynamic set), another user, a connection that has a mark or was translated, an extension header. Else it is
// NotModelled. Both say why.
//
// A rule that decides is then deleted, in twins, together with others that have none of its packets, and its packets are sent again.
// Its witness is one of which the kernel then made something else: Rule.Without says what. Where the model
// knows of no such packet, not even of those that this lab does not send, and the kernel showed none, the rule is Redundant. That is not said of a rule that logs,
// nor where its packets would come to one that remembers them (a limit, a dynamic set) or is not modelled.
//
// # What a change does
//
//	found, err := policy.CompareRules(ctx, lab, "fw", before, after)
//	...
//	fmt.Print(found)
//
// prints, for each pair of rules of which the first decided before and the second does after, one packet and both verdicts:
//
//	1 kind of packet is treated differently:
//	at fw now is let through: tcp 10.0.1.1:34818 > 10.0.2.1:22 SYN, in by lan, new
//	  before: dropped by rule 2 of inet filter forward (iifname "lan" tcp dport 22 drop comment "no ssh")
//	  after:  let through by rule 2 of inet filter forward (ip saddr 10.0.1.0/24 tcp dport 1-79 accept comment "services")
//
// Both kernels were asked, twice, so none is told that is not. Which packets are asked about: each by which Cover
// shows a rule of either to be met, and those that come to a rule which only one of the texts has, or has elsewhere; the model
// divides them by all rules that they meet in both. Where the answer depends on packets that came before (a limit, a quota, a dynamic
// set), it is asked alone, in twins that no packet has met: of eight kinds of packets at most. It knows no more than what is said
// above. Where a rule is NotModelled, or Needs what is not sent, or there are too many kinds, or a change would show in another state
// alone, Difference.Notes says so. Only packets that this lab's routes bring to a hook are compared.
//
// # What a firewall does
//
//	p, err := policy.Of(ctx, lab, "fw", policy.Zone("mgmt", "10.0.1.0/28"))
//	...
//	fmt.Print(p)
//
// prints for each pair of zones what becomes of which packets, and by which rule:
//
//	lan -> dmz:
//	  established, related: accepted by "answers"
//	  tcp 22: dropped by "no ssh"
//	  tcp 80, 443 to 10.0.2.0/25: accepted by "web"
//	  all else: dropped by policy drop of inet filter forward
//
// The text depends on what the rules do, and not on how they are written: it can be kept, and compared with MatchPolicy. A line that says
// nothing of connections is about packets that begin one. Packets of a connection that was translated are told as they are then:
// from whom they come, and who gets them. What is translated is told by where it was sent to.
//
// A TTL is that where it is asked for: what is forwarded was sent with one more.
//
// Packets are followed through all hooks: what rules make of their mark, as far as that does not come from a connection, and
// whether their destination was translated (ct status, iptables' state DNAT), are known to the rules behind.
//
// # What is sent
//
// TCP, UDP, ICMP and whatever protocol a rule names, in IPv4 and IPv6: the first packet of a connection; where rules ask for
// it an answer to what left (translated, where NAT was), a second packet, an ICMP error, an invalid packet; packets for all at a link, or
// with another TTL or length; one that ends before its upper header does; and a burst, where a limit lets no more than 200 through at
// once. Nothing is sent as a user but the tests' own, or as a fragment. What comes in by a tunnel (VXLAN, GRE, WireGuard) is sent by
// the node at its other end, as far as the rules let in what carries it.
//
// It is thousands of packets in a second, many of them from addresses that nobody has. What the twin's node says to those by
// ICMP ends once its rules had it. It would wait for a neighbour, and a kernel (since Linux 5.18) has one socket a processor for
// what it says by ICMP in all namespaces: while some hundred wait, other labs get no answers.
package policy
