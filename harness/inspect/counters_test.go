package inspect

import "testing"

func TestCountersOfFiles(t *testing.T) {
	t.Parallel()
	counted := map[string]uint64{}
	for _, text := range []string{
		"Ip: Forwarding DefaultTTL InAddrErrors\nIp: 1 64 7\nTcp: MaxConn OutRsts\nTcp: -1 2\nUdp: NoPorts\nUdp: 5",
		"TcpExt: A IPReversePathFilter\nTcpExt: 0 3\nIpExt: InNoRoutes\nIpExt: 4\n",
		"Ip6InReceives                   \t9\nUdp6NoPorts                     \t8\nIcmp6OutType135                 \t1\n",
		"XfrmInPolBlock          \t6\n",
	} {
		addCounters(counted, []byte(text))
	}
	for name, want := range map[string]uint64{
		"Ip.InAddrErrors": 7, "Tcp.OutRsts": 2, "TcpExt.IPReversePathFilter": 3, "IpExt.InNoRoutes": 4,
		"Ip6.InReceives": 9, "Udp6.NoPorts": 8, "Icmp6.OutType135": 1, "Udp.NoPorts": 0, "Xfrm.InPolBlock": 6,
	} {
		if counted[name] != want {
			t.Errorf("%s is %d, want %d", name, counted[name], want)
		}
	}
}

func TestKernelCountersMove(t *testing.T) {
	t.Parallel()
	c, err := OpenKernelCounters()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Ip.InReceives", "Ip.ForwDatagrams", "IpExt.InNoRoutes", "TcpExt.IPReversePathFilter", "Udp.NoPorts"} {
		if _, ok := all[name]; !ok {
			t.Errorf("there is no %s", name)
		}
	}
}
