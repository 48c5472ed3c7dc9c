package evidence

import (
	"fmt"
	"maps"
	"net"
	"testing"
)

func TestCountersInPairsOfLines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want map[string]int64
	}{
		"nothing": {"", nil},
		"snmp": {
			`Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams
Ip: 1 64 8 0 2 4
Icmp: InMsgs InErrors
Icmp: 0 0
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn
Tcp: 1 200 120000 -1
`, map[string]int64{
				"Ip.Forwarding": 1, "Ip.DefaultTTL": 64, "Ip.InReceives": 8, "Ip.InHdrErrors": 0, "Ip.InAddrErrors": 2, "Ip.ForwDatagrams": 4,
				"Icmp.InMsgs": 0, "Icmp.InErrors": 0, "Tcp.RtoAlgorithm": 1, "Tcp.RtoMin": 200, "Tcp.RtoMax": 120000, "Tcp.MaxConn": -1,
			},
		},
		"more names than numbers": {"TcpExt: ListenOverflows ListenDrops\nTcpExt: 3\n", map[string]int64{"TcpExt.ListenOverflows": 3}},
		"more numbers than names": {"TcpExt: ListenOverflows\nTcpExt: 3 4\n", map[string]int64{"TcpExt.ListenOverflows": 3}},
		"half a pair":             {"IpExt: InNoRoutes", nil},
		"an empty line":           {"\n\nIp: A\nIp: 1\n", map[string]int64{"Ip.A": 1}},
	} {
		got := map[string]int64{}
		addPairs(got, c.text)
		if !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestPortsOfSockets(t *testing.T) {
	t.Parallel()
	const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1234 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1235 1 0000000000000000 100 0 0 10 0
   2: 0101000A:CBA6 0102000A:0016 01 00000000:00000000 02:0009F1E5 00000000     0        0 1236 2 0000000000000000 20 4 30 10 -1
`
	const udp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  312: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1237 2 0000000000000000 0
  313: 0001000000000000000000000000FD00:8001 00000000000000000000000000000000:0035 01 00000000:00000000 00:00000000 00000000     0        0 1238 2 0000000000000000 0
`
	for name, c := range map[string]struct{ text, state, want string }{
		"those that listen":   {tcp, "0A", "map[22:true 8080:true]"},
		"those that talk":     {tcp, "01", "map[52134:true]"},
		"those that wait":     {udp6, "07", "map[53:true]"},
		"nothing":             {"", "0A", "map[]"},
		"a heading":           {"  sl  local_address rem_address   st\n", "st", "map[]"},
		"a line cut off":      {"   0: 00000000:0016 00000000:0000", "0A", "map[]"},
		"no number":           {"   0: 00000000:XYZ 00000000:0000 0A\n", "0A", "map[]"},
		"no port":             {"   0: 00000000 00000000:0000 0A\n", "0A", "map[]"},
		"a number too large":  {"   0: 00000000:10000 00000000:0000 0A\n", "0A", "map[]"},
		"the greatest number": {"   0: 00000000:FFFF 00000000:0000 0A\n", "0A", "map[65535:true]"},
	} {
		got := map[uint16]bool{}
		addPorts(got, c.text, c.state)
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

func TestPrefixesOfNets(t *testing.T) {
	t.Parallel()
	for want, n := range map[string]net.IPNet{
		"10.0.1.1/24":       {IP: net.IPv4(10, 0, 1, 1), Mask: net.CIDRMask(24, 32)}, // 16 bytes
		"10.0.1.0/24":       {IP: net.IP{10, 0, 1, 0}, Mask: net.CIDRMask(24, 32)},
		"0.0.0.0/0":         {IP: net.IP{0, 0, 0, 0}, Mask: net.CIDRMask(0, 32)},
		"fd00:1::1/64":      {IP: net.ParseIP("fd00:1::1"), Mask: net.CIDRMask(64, 128)},
		"::/0":              {IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
		"::ffff:0.0.0.0/96": {IP: net.ParseIP("::ffff:0:0"), Mask: net.CIDRMask(96, 128)},
	} {
		if got := prefixOf(n).String(); got != want {
			t.Errorf("%v: %s, want %s", n, got, want)
		}
	}
}
