package wire

import "github.com/nstest/nstest/probes/internal/wire/wiretest"

var (
	ip, withOptions, fragmentAt, udp, tcp = wiretest.IP, wiretest.WithOptions, wiretest.FragmentAt, wiretest.UDP, wiretest.TCP
	icmp, echo, unreachable, ap           = wiretest.ICMP, wiretest.Echo, wiretest.Unreachable, wiretest.AP
	client4, server4, client6, server6    = wiretest.Client4, wiretest.Server4, wiretest.Client6, wiretest.Server6
)

// parsed is a packet that is known to be one.
func parsed(data []byte) *Packet {
	p, ok := Parse(data)
	if !ok {
		panic("no packet")
	}
	return p
}
