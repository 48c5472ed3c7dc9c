// Package wire is what a probe looks like on the wire: the words and the nonce that
// it carries, what packets are its own, and a reader of packets.
//
//	flow := wire.Flow{From: "client", To: "server", Addr: server, Protocol: wire.UDP, Port: 53}
//	flow.Nonce = wire.NewMark().Nonce(flow.Protocol)
//	datagram := append([]byte(wire.RequestWord), flow.Nonce[:]...)
//	...
//	packet, ok := wire.Parse(seen)
//	fmt.Println(packet) // udp 10.0.1.1:40000 > 10.0.2.1:53
package wire
