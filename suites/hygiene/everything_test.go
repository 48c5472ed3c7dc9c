package hygiene_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"

	"github.com/google/nftables"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/gomega"
)

func init() {
	fixtures["labs"] = laps(func(t *testing.T) { everything(t) })
}

// laps is a fixture that goes on until the spec lets it end, so that a process that
// outlives its parent does not end by itself. Labs come one after the other: the later
// ones find the kernel clearing up the earlier.
func laps(lab func(*testing.T)) func(*testing.T) {
	return func(t *testing.T) {
		released := waitForRelease()
		for lap := 1; ; lap++ {
			t.Run("lab", func(t *testing.T) {
				RegisterTestingT(t)
				lab(t)
			})
			select {
			case <-released:
				if lap >= leastLaps {
					progress("the end")
					return
				}
			default:
			}
		}
	}
}

// leastLaps is how many labs a run builds at least.
const leastLaps = 2

// everything is a lab with whatever a lab can have, used in every way that
// might leave something behind or change what is not its own.
func everything(tb harness.TB) *harness.Lab {
	progress("up")
	lab := harness.Up(tb, office(os.Getenv(markVar)))
	client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
	progress("rules")
	loadRules(fw)
	Expect(fw.SetSysctl("net.ipv4.ip_default_ttl", "42")).To(Succeed())
	progress("serve")
	probes.Serve(tb, server, probes.TCP(80), probes.UDP(53))
	progress("daemon")
	daemonize(server)
	progress("attach")
	other := harness.Attach(tb, "other", client.Path())
	progress("survey")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	Expect(probes.Survey(ctx, lab, probes.ICMP())).NotTo(BeNil())
	Expect(probes.Ask(ctx, other, netip.MustParseAddr("10.0.2.1"), probes.TCP(80).Within(patience))).To(HaveField("Outcome", probes.Answered))
	progress("ports")
	Expect(server.Port("dmz").Down()).To(Succeed())
	Expect(server.Port("dmz").Up()).To(Succeed())
	progress("down")
	return lab
}

// office has switches and a wire, both families, and a router with sysctls and
// a route that leads nowhere.
func office(name string) *topo.Network {
	network := topo.New(name)
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := network.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	wan := network.Wire("wan", "198.51.100.0/24", "fd00:3::/64")
	network.Host("client", lan)
	network.Host("server", dmz)
	network.Host("peer", wan).Loopback("192.0.2.1/32")
	network.Router("fw", lan, dmz, wan).
		Sysctl("net.ipv4.conf.wan.rp_filter", "1").Sysctl("net.ipv4.tcp_syncookies", "0").
		Route(topo.Route{To: "203.0.113.0/24", Type: topo.Blackhole}, topo.Route{To: "10.9.0.0/16", Dev: wan, Table: 100})
	return network
}

// loadRules gives a node rules; as text where this machine has what loads it.
func loadRules(node *harness.Node) {
	Expect(node.Nftables(func(conn *nftables.Conn) error {
		conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "mine"})
		return nil
	})).To(Succeed())
	ifSupported(node.Nft("table inet text { chain forward { type filter hook forward priority 0; policy accept; }; }"))
}

// ifSupported holds unless something failed for another reason than that this
// machine lacks the program for it.
func ifSupported(err error) {
	if !errors.Is(err, errors.ErrUnsupported) {
		Expect(err).NotTo(HaveOccurred())
	}
}

// tools runs other programs in a lab, those that load iptables text among them,
// and leaves one running.
func tools(lab *harness.Lab) {
	client, fw := lab.Node("client"), lab.Node("fw")
	ifSupported(fw.Iptables("*filter\n-A FORWARD -p tcp --dport 22 -j DROP\nCOMMIT\n"))
	ifSupported(fw.Ip6tables("*filter\n-A FORWARD -p tcp --dport 22 -j DROP\nCOMMIT\n"))
	out, err := client.Command("cat", "/etc/hosts", "/sys/class/net/lan/mtu").Output()
	Expect(err).NotTo(HaveOccurred())
	Expect(string(out)).To(ContainSubstring(" server\n"))
	Expect(client.Command("sleep", "1000").Start()).To(Succeed())
}

// daemonize leaves a process running that got away from its parent and session.
func daemonize(node *harness.Node) {
	out, err := node.Command("sh", "-c", `setsid sh -c 'sleep 1000 &' >/dev/null 2>&1 &`).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
}
