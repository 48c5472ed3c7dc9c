package probes_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// hostFirewall is the commonest one: it forgets neighbour discovery.
const hostFirewall = `table inet filter { chain input { type filter hook input priority 0; policy drop;
	ct state established,related accept; iif "lo" accept; tcp dport 22 accept; }; }`

// guardedHosts are a client and a server with a firewall of its own, on one segment or
// with a router between.
func guardedHosts(t *testing.T, apart bool, rules string) (client, server *harness.Node) {
	t.Helper()
	harness.Require(t, harness.NftTool)
	network := topo.New("hosts")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := lan
	if apart {
		dmz = network.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
		network.Router("fw", lan, dmz)
	}
	network.Host("client", lan)
	network.Host("server", dmz)
	lab := harness.Up(t, network)
	if err := lab.Node("server").Nft(rules); err != nil {
		t.Fatal(err)
	}
	return lab.Node("client"), lab.Node("server")
}

// briefly are probes that do not wait long for a neighbour that never answers.
func briefly(asked ...probes.Probe) (brief []probes.Probe) {
	for _, p := range asked {
		brief = append(brief, p.Within(300*time.Millisecond))
	}
	return brief
}

// A host whose firewall stops neighbour discovery with all the rest is isolated by it.
func TestAHostFirewallIsolates(t *testing.T) {
	t.Parallel()
	for _, apart := range []bool{false, true} {
		client, server := guardedHosts(t, apart, hostFirewall)
		g := gomega.NewWithT(t)
		for _, p := range briefly(icmp, web, dns) {
			g.Expect(client).To(probes.BeIsolatedFrom(server, p).At("server").By("policy inet filter input").Because("drop"))
		}
		g.Expect(client).To(probes.MustMatter(probes.BeIsolatedFrom(server, briefly(icmp)...)).At("server"))
		holds, err := probes.BeIsolatedFrom(server, briefly(web)...).By("another").Match(client)
		for _, want := range []string{
			"the request was dropped at server by policy drop of inet filter input: not by",
			"the request was dropped at server by policy drop of inet filter input: the neighbour solicitation was dropped at server by " +
				"policy drop of inet filter input, so it was sent once more, to the MAC of fd00:",
		} {
			if holds || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("want %q: %v, %v", want, holds, err)
			}
		}
	}
}

// Where only neighbour discovery is stopped, whoever knows the MAC gets in.
func TestARuleAgainstNeighboursAloneIsolatesNobody(t *testing.T) {
	t.Parallel()
	for _, apart := range []bool{false, true} {
		for _, p := range briefly(icmp, web, dns) {
			client, server := guardedHosts(t, apart, `table inet filter { chain input { type filter hook input priority 0; policy accept;
				icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } drop; }; }`)
			words := sink(t, server, 53)
			to, _ := server.Lab().Plan().Nearest("client", "server", true)
			holds, err := probes.BeIsolatedFrom(to, p).Match(client)
			if holds || err == nil || !strings.Contains(err.Error(), "only neighbour discovery stops the request: ") {
				t.Errorf("%s: %v, %v", p, holds, err)
			}
			if n := words(); (n > 0) != (p == briefly(dns)[0]) {
				t.Errorf("%s: the judge: the service read %d words of the frame", p, n)
			}
			last, port := client, "lan"
			if apart {
				last, port = server.Lab().Node("fw"), "dmz"
			}
			entry(t, last, port, to, server)
			before := words()
			conn, err := client.Dial(t.Context(), "udp", netip.AddrPortFrom(to, 53))
			if err == nil {
				_, err = conn.Write([]byte("a word"))
			}
			if err != nil {
				t.Fatal(err)
			}
			gomega.NewWithT(t).Eventually(words).Should(gomega.BeNumerically(">", before), "the judge: with a static entry a plain socket gets in")
			_ = conn.Close()
		}
	}
}

// entry makes a permanent neighbour entry for a server.
func entry(t *testing.T, node *harness.Node, port string, addr netip.Addr, server *harness.Node) {
	t.Helper()
	out, err := node.Netlink().LinkByName(port)
	if err != nil {
		t.Fatal(err)
	}
	plan, _ := server.Lab().Plan().Node(server.Name())
	mac := net.HardwareAddr(plan.Ports[0].MAC[:])
	err = node.Netlink().NeighSet(&netlink.Neigh{LinkIndex: out.Attrs().Index, IP: addr.AsSlice(), HardwareAddr: mac, State: netlink.NUD_PERMANENT})
	if err != nil {
		t.Fatal(err)
	}
}

// A host that is down does not answer either: that is a mistake, whatever is sent.
func TestAHostThatIsDownIsNotIsolatedByItsFirewall(t *testing.T) {
	t.Parallel()
	client, server := guardedHosts(t, true, hostFirewall)
	if err := server.Port("dmz").Down(); err != nil {
		t.Fatal(err)
	}
	if holds, err := probes.BeIsolatedFrom(server, briefly(icmp)...).Match(client); holds || err == nil || !strings.Contains(err.Error(), "no policy isolates here") {
		t.Error(holds, err)
	}
}
