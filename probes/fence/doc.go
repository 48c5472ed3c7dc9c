// Package fence checks the egress fence of a sandbox: that nothing gets out of the
// namespace of an agent, a build or a tenant but what is to.
//
//	world := fence.World{Outside: lab.Node("internet"), Free: lab.Node("free"), Gateway: lab.Node("host"), Sibling: lab.Node("other")}
//	Expect(lab.Node("sandbox")).To(fence.BeClosed(world).Except("tcp"))
//
// The sandbox is a node of a lab of the harness's, or of one that was attached
// (harness.AttachLab, with Existing.Traced at the nodes whose rules are the fence).
//
// # Channels
//
// Check tries some thirty ways out, one packet each: TCP, UDP and QUIC's port, ICMP
// with a payload, protocols that no firewall speaks of, all in IPv4 and IPv6; foreign
// addresses as the source, and a MAC that is not the sandbox's own; DNS by UDP and TCP,
// the metadata service at 169.254.169.254, private addresses, the gateway itself, and a
// sibling on the link, by ARP and link-local addresses too. What is not of packets is
// tried as a program would: a proxy's CONNECT, a connection that is older than the fence,
// unix sockets by path and by abstract name.
//
// A channel is Blocked where its packet was seen to be ended by a rule, a route or the
// like, which the finding names, and where the control passed: the same sent from
// World.Free, which is outside of the fence, arrives. A rule by which another packet might get out is
// no fence: one that counts, limits or goes by chance, or that decides by what any program of the
// sandbox may choose (a source port, a length, the TTL). It is Open where the packet
// arrived, Absent where the world has nothing to try it with, and Unproven in every
// other case, with the reason. Only Blocked and Absent are no hole.
//
// A whole check takes some 0.1 to 0.4 seconds on two idle cores, where every channel has an end
// that is seen.
package fence
