package policy

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
)

// What a node of a twin says by ICMP to addresses that nobody has waits for no neighbour: it would keep other labs from answering.
func TestATwinWaitsForNobody(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	const rules = 100
	network := topo.New("rejecting")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := network.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	network.Host("client", lan)
	network.Host("server", dmz)
	network.Router("fw", lan, dmz).Nft(rejecting(rules))
	err := withTwin(t.Context(), harness.Up(t, network), "fw", func(fw *harness.Node) error {
		c, err := openCover(fw)
		if err != nil {
			return err
		}
		defer c.kernel.close()
		if err := c.run(t.Context()); err != nil {
			return err
		}
		waited, said, err := saidTo(fw)
		for family, n := range waited {
			if said[family] < rules {
				t.Errorf("the kernel had %d ICMP messages of %s to send: the test shows nothing", said[family], family)
			}
			if n > 0 {
				t.Errorf("it looked for %d neighbours of %s that nobody is", n, family)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// rejecting are so many rules in both families that reject what comes from addresses which nobody has.
func rejecting(rules int) string {
	var b strings.Builder
	b.WriteString("table inet filter {\n\tchain forward {\n\t\ttype filter hook forward priority 0; policy drop;\n")
	for i := range rules {
		fmt.Fprintf(&b, "\t\tip saddr 10.0.1.%d udp dport %d reject\n", 100+i, 1000+i)
		fmt.Fprintf(&b, "\t\tip6 saddr fd00:1::%x udp dport %d reject\n", 100+i, 1000+i)
	}
	return b.String() + "\t}\n}\n"
}

// saidTo are how many addresses that nobody has a node's kernel has looked for, and how much it had to send by ICMP, also what it
// had no room for.
func saidTo(node *harness.Node) (waited map[string]int, said map[string]uint64, err error) {
	waited = map[string]int{"IPv4": 0, "IPv6": 0}
	entries, err := node.Netlink().NeighList(0, netlink.FAMILY_ALL)
	if err != nil {
		return nil, nil, err
	}
	_, made4, _ := net.ParseCIDR("10.0.1.0/24")
	_, made6, _ := net.ParseCIDR("fd00:1::/64")
	const made = 100 // the least last byte of such an address
	for _, e := range entries {
		switch last := e.IP[len(e.IP)-1]; {
		case last < made:
		case made4.Contains(e.IP):
			waited["IPv4"]++
		case made6.Contains(e.IP):
			waited["IPv6"]++
		}
	}
	err = node.Do(func() error {
		counters, err := inspect.OpenKernelCounters()
		if err != nil {
			return err
		}
		defer counters.Close()
		counts, err := counters.Read()
		said = map[string]uint64{"IPv4": counts["Icmp.OutMsgs"] + counts["Icmp.OutErrors"], "IPv6": counts["Icmp6.OutMsgs"] + counts["Icmp6.OutErrors"]}
		return err
	})
	return waited, said, err
}
