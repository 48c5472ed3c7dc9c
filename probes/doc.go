// Package probes asks who can reach whom in a lab of package harness, and says
// how the answer came about: who answered, refused or rejected, or that nothing
// came back, or that nothing was sent. It needs no ping and no nc.
//
//	func TestOffice(t *testing.T) {
//		office := topo.New("office")
//		lan := office.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
//		dmz := office.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
//		office.Host("client", lan)
//		office.Host("server", dmz)
//		office.Router("fw", lan, dmz)
//		lab := harness.Up(t, office)
//		client, server := lab.Node("client"), lab.Node("server")
//		probes.Serve(t, server, probes.TCP(80))
//
//		result, err := probes.Ask(t.Context(), client, server, probes.TCP(80))
//		if err != nil {
//			t.Fatal(err) // it could not be asked
//		}
//		fmt.Println(result) // client -> server (10.0.2.1) tcp/80: answered by server after 182µs
//
//		g := gomega.NewWithT(t)
//		g.Expect(client).To(probes.Reach(server, probes.TCP(80)))
//		g.Expect(probes.Survey(t.Context(), lab, probes.ICMP())).To(probes.MatchMatrix(`
//			        client  server  fw
//			client  .       ok      ok
//			server  ok      .       ok
//			fw      ok      ok      .
//		`))
//	}
//
// # Outcomes
//
// A probe is Answered, Refused by the target itself, Rejected by somebody on the
// way, Silent, or Unsent. What could not be asked (no such target, no descriptors,
// no buffer space, a context that is over) is an error, and never one of these:
// a broken test shows nothing about the network.
//
// # Who answered
//
// An address does not say who answered: ports are redirected, addresses move, several
// nodes have one. A responder of Serve signs: Result.Proven is true then. Of a TCP
// connection the nodes' own lists of sockets tell who has it, and a watch where its source
// was translated; a handshake that comes to nothing is Silent. Otherwise Result.By of Ask is the only node of the lab that has the
// sender's address, or "" when there are several; Reach and surveys, which give
// verdicts, look where the answer left. Two labs are not connected: asking across them
// is an error.
//
// # Yes and no
//
// Reach says yes, or is an error: NotTo(Reach(...)) never holds, since a network
// that is merely broken reaches nobody. BeIsolatedFrom says no: only where no
// request was delivered, at any address of the target, and where a rule, a route or the
// like, which it names, ended it on its way; BeUnansweredBy where what is sent arrives,
// and only its answer is stopped. BeRefusedBy and BeRejectedBy tell who refused it:
//
//	Expect(client).To(probes.BeIsolatedFrom(server).Except(probes.TCP(443))) // listeners, and what rules name
//	Expect(client).To(probes.BeIsolatedFrom(server, probes.TCP(22)).At("fw").By("no ssh from the lan"))
//	Expect(client).To(probes.BeUnansweredBy(server, probes.UDP(53)).At("fw"))
//
// What a rule that remembers has decided (a limit, a set that rules change, chance) may be
// otherwise another time: that is an error, unless Sampled says how many probes are enough. To
// wait for something, poll:
//
//	Eventually(probes.Ask).WithContext(ctx).WithArguments(client, server, probes.TCP(80)).Should(probes.Reach(server))
//
// # What let it pass
//
// Result.Hops tells of a probe under watch, node by node, what it met: the rules that accepted,
// marked, translated or counted it, and the route that led it on; of its own packets, and not of
// copies. It is put together when it is asked for, and printed a line a hop:
//
//	result, err := probes.Watch(ctx, client, server, probes.TCP(80))
//	...
//	fmt.Print(result.Hops())
//	// request at client: sent, out at lan; by the default route via 10.0.1.2
//	// request at fw: in at lan, out at dmz; accepted by rule "tcp dport 80 accept" of inet filter forward; by the route 10.0.2.0/24
//	// request at server: in at dmz, delivered
//	// answer at server: sent, out at dmz; by the default route via 10.0.2.2
//	// ...
//
// Where rules are not traced, the hop says so. Through and TranslatedBy have Reach hold only
// where the request went that way:
//
//	Expect(client).To(probes.Reach(server, probes.TCP(80)).Through("fw", "inner"))
//	Expect(client).To(probes.Reach(fw.On("lan"), probes.TCP(8080)).AnsweredBy("web").TranslatedBy("fw", "dnat to 10.0.2.1:80"))
//
// # What a probe is sent from
//
// The kernel chooses, unless the probe says: From an address, an interface or a port, with
// a TTL, a mark, a DSCP, and by which user. A verdict about such a probe is about just
// that: what was chosen is tried in no other way.
//
//	Expect(client).To(probes.BeIsolatedFrom(server, probes.UDP(53).FromPort(5000)))
//	Expect(client).To(probes.BeIsolatedFrom(server, probes.TCP(25).UID(1000)).By("only the mailer"))
//
// Fragmented sends a large one in fragments, each of which is followed: only the first has ports, and
// a rule about these lets the others by. It is no isolation where any of them arrives.
//
//	Expect(client).To(probes.Reach(server, probes.UDP(53).Size(4000).Fragmented()))
//
// Extended sends one with extension headers of IPv6, which a rule may take for the protocol.
//
// PathMTU finds the largest packet that arrives whole, and what the asker's kernel has learned of it: a
// path whose ICMP errors do not come back is a black hole to larger ones, and the rule is named.
//
//	mtu, err := probes.PathMTU(ctx, client, server, probes.ICMP())
//	Expect(mtu).To(And(HaveField("Bytes", 1280), HaveField("BlackHole()", false)))
//
// # What is said
//
// A TCP or UDP probe without words is answered by a connection, a signature or any datagram.
// With words it is answered where all comes that it awaits, from who has the connection or has
// sent the datagrams; what came instead is told. Over TCP it is no isolation either: what opens
// the connection arrived.
//
//	Expect(client).To(probes.Reach(server, probes.TCP(25).Await("220").Send("EHLO x\r\n").Await("250 ")))
//
// # Who has an address
//
// WhoHas asks on a link, by ARP or neighbour discovery, and tells all who answer, by node and MAC;
// and of those who have the address and were not heard the rule, or the setting, that kept them
// from it:
//
//	claims, err := probes.WhoHas(ctx, client, "lan", netip.MustParseAddr("10.0.1.7"), 0)
//	Expect(claims.Nodes()).To(ConsistOf("server")) // nobody else has it
//
// # Who hears
//
// WhoHears sends a datagram to all on a link, and tells who has it, and of the others why not: a
// rule, a group that was not joined, a port that nobody has:
//
//	heard, err := probes.WhoHears(ctx, client, "lan", netip.MustParseAddr("239.1.2.3"), probes.UDP(5000))
//	Expect(heard.Nodes()).To(ConsistOf("player"))
//
// # Packets by hand
//
// UDPLite asks as UDP does, by another protocol, which rules about UDP do not match. SCTP asks for an
// association, also where no kernel has SCTP. Protocol asks with a packet of an IP protocol by its number, and Segment with one TCP segment
// that has these flags and is of no connection. For filters that go by flags:
//
//	Expect(client).To(probes.BeIsolatedFrom(server, probes.Segment(80, probes.SYN)).By("no connections"))
//	Expect(client).To(probes.BeRefusedBy(server, probes.Segment(80, probes.ACK))) // it arrived: TCP resets it
//
// # Connections that live
//
// Each probe opens a connection, or has a source port or an id, of its own: what tracks
// connections sees a new one. Connect keeps one, to be asked again when something has changed.
//
//	conn, err := probes.Connect(ctx, client, server, probes.TCP(22))
//	Expect(fw.Nft(ban)).To(Succeed())
//	Expect(client).To(probes.BeIsolatedFrom(server, probes.TCP(22)).By("banned"))
//	Expect(conn.Watch(ctx)).To(probes.Reach(server, probes.TCP(22)), "the ban is for new connections")
//
// # While something changes
//
// Stream sends packets at a rate while a function changes something, and says of each whether it
// arrived: for how long it was open during a reload, or closed, with a lower and an upper bound.
//
//	flows, err := probes.Stream(ctx, outside, server, probes.UDP(53), time.Millisecond, func() error { return fw.Nft(rules) })
//	...
//	Expect(flows).To(HaveEach(HaveField("Arrived", 0))) // of IPv4, and of IPv6
//	fmt.Println(flows[0].Open())                        // 3.1ms to 5.2ms (3 packets)
//
// # What would be without it
//
// A probe that is dropped by a rule might not have arrived without it either. With
// NSTEST_MUTATE=1 every no is repeated in a copy of the lab without what it named: see
// MustMatter.
//
// # Which rules were tried
//
// With NSTEST_RULE_COVERAGE=file a run appends to the file what its probes, watched
// or not, have tried of the nftables rules and chain policies of their labs' nodes:
// as a lab goes down, a line for each that it had while it was probed or at its end,
// with tabs between
//
//	decided  office  fw  inet  filter  forward  0  policy accept
//	never    office  fw  inet  filter  forward  1  tcp dport 22 drop comment "no ssh from the lan"
//
// The fields are the strongest effect that the rule had (decided, matched or never), the
// network, the node, its family, table and chain, a number that tells rules of one text
// apart (0 is a policy), and the rule as nft prints it. A rule has decided when it gave
// its verdict to a probe's packet, or to an answer's; it has matched when it met one and
// gave no verdict: it counted, marked, jumped. A rule is tried when any line says that it
// decided or matched: files, of any number of
// packages and processes, are merged by putting them together. A relative path is
// taken from the package's directory. This prints what was tried, chain by chain:
//
//	awk -f "$(go list -m -f '{{.Dir}}' github.com/nstest/nstest)/.ci/rules.awk" rules.txt
//
//	== rules that probes tried ==
//	  office  fw  inet filter forward  1 of 2  50%
//	    never tried: tcp dport 22 drop comment "no ssh from the lan"
//	  total 1 of 2 rules and policies, 50%; 1 gave a verdict
//
// Heard are echo requests and replies, datagrams, and the packets that open or reset
// a connection: those of probes, and of TCP whatever opens one meanwhile. Not heard are
// neighbour discovery, ICMP errors, rules of iptables-legacy, attached namespaces, and
// labs without a probe. What could not be heard is said in a line that begins with
// problem. A bare probe is heard by the watch of the lab, and comes to the same.
//
// # What a kernel remembers
//
// A probe asks a network that remembers earlier ones. A router that sends a packet
// back out of its own link also tells the sender of a shorter way, and a sender that
// accepts redirects takes that way next: both results are true. Hosts of a test that
// is about the long way set net.ipv4.conf.all.accept_redirects=0. Of unreachable and
// prohibit routes of IPv4 a kernel sends a few ICMP errors to each address at once, and
// then one a second (net.ipv4.route.error_cost, which is the machine's): of more probes
// the rest is Silent. A watched probe names the route even so.
package probes
