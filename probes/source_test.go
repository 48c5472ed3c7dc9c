package probes_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// A plain socket writes down with what it was asked.
func TestAProbeIsSentAsItSays(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	if err := addAddr(client, "lan", "10.0.1.77/24"); err != nil {
		t.Fatal(err)
	}
	conn, err := server.ListenPacket(t.Context(), "udp4", netip.MustParseAddrPort("10.0.2.1:53"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_RECVTOS, 1) }); err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1)
	go hear(conn, heard)
	far := netip.MustParseAddr("10.0.2.1")
	for _, row := range []struct {
		probe probes.Probe
		want  string
		words string
	}{
		{probes.UDP(53).From(netip.MustParseAddr("10.0.1.77")).FromPort(4000), "10.0.1.77:4000 ttl 63 tos 0x0", "(10.0.1.77:4000)"},
		{probes.UDP(53).FromPort(4001).TTL(9), "10.0.1.1:4001 ttl 8 tos 0x0", "(port 4001, TTL 9)"},
		{probes.UDP(53).FromPort(4002).DSCP(46).FromInterface("lan"), "10.0.1.1:4002 ttl 63 tos 0xb8", "(port 4002, bound to lan, DSCP 46)"},
	} {
		for name, asks := range map[string]func(context.Context, *harness.Node, probes.Target, probes.Probe) (probes.Result, error){"Ask": probes.Ask, "Watch": probes.Watch} {
			result, err := asks(t.Context(), client, far, row.probe)
			if err != nil || result.Outcome != probes.Answered || !strings.HasPrefix(result.String(), "client "+row.words+" -> ") {
				t.Errorf("%s: %v, %v", name, result, err)
			}
			if got := <-heard; got != row.want {
				t.Errorf("%s %s: the target read %s, want %s", name, row.probe, got, row.want)
			}
		}
	}
}

// hear answers datagrams, and says with what each came.
func hear(conn net.PacketConn, heard chan<- string) {
	in := ipv4.NewPacketConn(conn)
	_ = in.SetControlMessage(ipv4.FlagTTL, true)
	body, oob := make([]byte, 2048), make([]byte, 256)
	for {
		n, had, _, from, err := conn.(*net.UDPConn).ReadMsgUDPAddrPort(body, oob)
		if err != nil {
			return
		}
		var ttl, tos int
		messages, _ := unix.ParseSocketControlMessage(oob[:had])
		for _, m := range messages {
			switch m.Header.Type {
			case unix.IP_TTL:
				ttl = int(m.Data[0])
			case unix.IP_TOS:
				tos = int(m.Data[0])
			}
		}
		heard <- fmt.Sprintf("%s ttl %d tos %#x", netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), ttl, tos)
		_, _ = conn.(*net.UDPConn).WriteToUDPAddrPort(body[:n], from)
	}
}

// Who chose something gets a verdict about just that; who chose nothing gets none by it.
func TestAVerdictIsAboutWhatWasChosen(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	const user = 1
	second := netip.MustParseAddr("10.0.1.77")
	for name, row := range map[string]struct {
		change func(t *testing.T, client *harness.Node)
		nft    string // at the client
		fw     string
		probe  func(probes.Probe) probes.Probe
		at, by string
		needs  []harness.Feature
	}{
		"an address": {
			fw:    `ip saddr 10.0.1.77 drop comment "it"`,
			probe: func(p probes.Probe) probes.Probe { return p.From(second) }, at: "fw", by: "it",
		},
		"a port": {
			fw:    `th sport 4000 drop comment "it"`,
			probe: func(p probes.Probe) probes.Probe { return p.FromPort(4000) }, at: "fw", by: "it",
		},
		"a TTL": {
			fw:    `ip ttl 7 drop comment "it"`, // as forward has it
			probe: func(p probes.Probe) probes.Probe { return p.TTL(8) }, at: "fw", by: "it",
		},
		"a class": {
			fw:    `ip dscp 46 drop comment "it"`,
			probe: func(p probes.Probe) probes.Probe { return p.DSCP(46) }, at: "fw", by: "it",
		},
		"a mark, by a rule": {
			nft:   `meta mark 7 drop comment "it"`,
			probe: func(p probes.Probe) probes.Probe { return p.Mark(7) }, at: "client", by: "it",
		},
		"a mark, by policy routing": {
			change: policy(func(r *netlink.Rule) { r.Mark = 7 }),
			probe:  func(p probes.Probe) probes.Probe { return p.Mark(7) }, at: "client",
		},
		"a class, by policy routing": {
			change: policy(func(r *netlink.Rule) { r.Tos = 0x10 }),
			probe:  func(p probes.Probe) probes.Probe { return p.DSCP(4) }, at: "client",
		},
		"a user, by a rule": {
			nft:   `meta skuid 1 drop comment "it"`,
			probe: func(p probes.Probe) probes.Probe { return p.UID(user) }, at: "client", by: "it", needs: []harness.Feature{harness.Users},
		},
		"a user, by policy routing": {
			change: policy(func(r *netlink.Rule) { r.UIDRange = netlink.NewRuleUIDRange(user, user) }),
			probe:  func(p probes.Probe) probes.Probe { return p.UID(user) }, at: "client", needs: []harness.Feature{harness.Users},
		},
	} {
		t.Run(name, func(t *testing.T) {
			harness.Require(t, row.needs...)
			t.Parallel()
			lab := harness.Up(t, office("table inet f { chain c { type filter hook forward priority 0; "+row.fw+"; }; }"))
			client := lab.Node("client")
			if err := addAddr(client, "lan", "10.0.1.77/24"); err != nil {
				t.Fatal(err)
			}
			if row.nft != "" {
				if err := client.Nft("table inet f { chain c { type filter hook output priority 0; " + row.nft + "; }; }"); err != nil {
					t.Fatal(err)
				}
			}
			if row.change != nil {
				row.change(t, client)
			}
			probes.Serve(t, lab.Node("server"), web, dns)
			to := lab.Node("server").On("dmz")
			far := netip.MustParseAddr("10.0.2.1")
			g := gomega.NewWithT(t)
			for _, p := range []probes.Probe{icmp, web, dns} {
				if name == "a port" && p == icmp {
					continue
				}
				g.Expect(client).To(probes.Reach(to, p))
				no := probes.BeIsolatedFrom(far, row.probe(p)).At(row.at)
				if row.by != "" {
					no = no.By(row.by)
				}
				g.Expect(client).To(no)
				result, err := probes.Watch(t.Context(), client, far, row.probe(p))
				g.Expect(err).NotTo(gomega.HaveOccurred())
				g.Expect(result.Cause).To(gomega.HaveField("Node", row.at))
				g.Expect(result).To(probes.BeIsolatedFrom(far, row.probe(p)))
				g.Expect(failures(func(g gomega.Gomega) { g.Expect(result).To(probes.BeIsolatedFrom(far, p)) })).NotTo(gomega.BeEmpty(), "it says nothing of others")
			}
		})
	}
}

// policy blackholes by a rule of policy routing.
func policy(selects func(*netlink.Rule)) func(*testing.T, *harness.Node) {
	return func(t *testing.T, client *harness.Node) {
		t.Helper()
		rule := netlink.NewRule()
		rule.Priority, rule.Table, rule.Family = 100, 100, unix.AF_INET
		selects(rule)
		everything := netlink.NewIPNet(net.IPv4zero)
		everything.Mask = net.CIDRMask(0, 32)
		hole := &netlink.Route{Dst: everything, Table: 100, Type: unix.RTN_BLACKHOLE}
		for _, err := range []error{client.Netlink().RouteAdd(hole), client.Netlink().RuleAdd(rule)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A port that lets in whoever sends from it: chosen, it reaches; not chosen, it is no isolation;
// and with another that was chosen it is one.
func TestAPortThatWasChosenIsNotTriedOtherwise(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet f { chain c { type filter hook forward priority 0; policy drop;
		udp sport 53 accept; ip daddr 10.0.1.0/24 accept; }; }`))
	client, server := lab.Node("client"), netip.MustParseAddr("10.0.2.1")
	probes.Serve(t, lab.Node("server"), dns)
	g := gomega.NewWithT(t)
	g.Expect(client).To(probes.Reach(server, dns.FromPort(53)))
	g.Expect(client).To(probes.BeIsolatedFrom(server, dns.FromPort(5000)).At("fw").By("policy drop of inet f c"))
	said := failures(func(g gomega.Gomega) { g.Expect(client).To(probes.BeIsolatedFrom(server, dns)) })
	g.Expect(said).NotTo(gomega.BeEmpty(), "port 53 lets it in")
}

// A TTL that ends on the way is rejected there.
func TestATTLEndsWhereItIsOver(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, web, dns)
	g := gomega.NewWithT(t)
	for _, p := range []probes.Probe{icmp, web, dns} {
		g.Expect(client).To(probes.Reach(server, p.TTL(2)))
		g.Expect(client).To(probes.BeRejectedBy("fw", server, p.TTL(1)))
	}
	matrix, err := probes.Survey(t.Context(), lab, icmp.TTL(2), web.TTL(1))
	if err != nil || matrix == nil {
		t.Fatal(err)
	}
	g.Expect(matrix.String()).To(gomega.ContainSubstring("ok"))
}

// A mistake says what to do about it.
func TestAMistakenSourceIsAnError(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	taken, err := client.Listen(t.Context(), "tcp", netip.MustParseAddrPort("0.0.0.0:4000"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	for want, p := range map[string]probes.Probe{
		"From(10.0.1.99): node client does not have that address; it has 10.0.1.1, ":               web.From(netip.MustParseAddr("10.0.1.99")),
		"From: a link-local address needs an interface of the asker, as in fe80::1%eth0":           web.From(netip.MustParseAddr("fe80::1")),
		`FromInterface("wan"): node client has no such interface; it has lo, lan`:                  icmp.FromInterface("wan"),
		"FromPort(4000): another socket of the node has that port: take one that nobody has: addr": web.FromPort(4000),
		"FromPort(4000): only TCP, UDP, UDP-Lite and SCTP have ports":                              icmp.FromPort(4000),
		"From(the zero address): it says nothing: name what is meant, or leave it out":             web.From(netip.Addr{}),
		`FromInterface(""): it says nothing`:                                                       icmp.FromInterface(""),
		"Extended(): it says nothing":                                                              icmp.Extended(),
		"TTL(0): it is between 1 and 255":                                                          icmp.TTL(0),
		"DSCP(64): it is between 0 and 63":                                                         dns.DSCP(64),
		"UID(-1): users have numbers from 0 on":                                                    dns.UID(-1),
	} {
		_, asked := probes.Ask(t.Context(), client, server, p)
		_, watched := probes.Watch(t.Context(), client, server, p)
		_, isolated := probes.BeIsolatedFrom(server, p).Match(client)
		_, surveyed := probes.Grid{From: []*harness.Node{client}, To: []probes.Target{server}, Probes: []probes.Probe{p}}.Survey(t.Context())
		for i, err := range []error{asked, watched, isolated, surveyed} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d: %v, want %s", i, err, want)
			}
		}
	}
	if _, err := probes.Ask(t.Context(), client, server, icmp.From(netip.Addr{}).From(client.Addr())); err != nil {
		t.Error(err, "it was said since")
	}
	_, err = probes.Ask(t.Context(), client, netip.MustParseAddr("10.0.2.1"), web.From(netip.MustParseAddr("fd00:1::1")))
	if err == nil || !strings.Contains(err.Error(), "the probe is sent from fd00:1::1") {
		t.Error(err)
	}
}

// A user that the sandbox has not is an error; one that it has is who sends, and the next
// probe is sent by the process's own again.
func TestAUserThatTheSandboxHasNot(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, web)
	mapped, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	if few := len(strings.Fields(string(mapped))) == 3 && strings.HasSuffix(strings.TrimSpace(string(mapped)), " 1"); few {
		for _, p := range []probes.Probe{icmp, web} {
			_, err := probes.Ask(t.Context(), client, server, p.UID(1000))
			if err == nil || !strings.Contains(err.Error(), "UID(1000): this process cannot have sockets of that user") {
				t.Error(err)
			}
		}
	}
	for range 4 {
		result := ask(t, client, server, web)
		if slices.ContainsFunc(each(result), func(r probes.Result) bool { return r.Outcome != probes.Answered }) {
			t.Error(result)
		}
	}
}

// What leads a marked probe another way also leads those from other addresses there: these are
// asked as well.
func TestAMarkedProbeIsAskedFromEveryAddress(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	network := topo.New("ways")
	lan, alt, dmz := network.Switch("lan", "10.0.1.0/24"), network.Switch("alt", "10.0.3.0/24"), network.Switch("dmz", "10.0.2.0/24")
	network.Host("client", lan, alt)
	network.Host("server", dmz)
	network.Router("fw", lan, dmz)
	network.Router("gw", alt, dmz).Nft(`table inet f { chain c { type filter hook forward priority 0; ip saddr 10.0.3.1 drop comment "it"; }; }`)
	lab := harness.Up(t, network)
	client, server := lab.Node("client"), netip.MustParseAddr("10.0.2.1")
	probes.Serve(t, lab.Node("server"), dns)
	rule := netlink.NewRule()
	rule.Priority, rule.Table, rule.Family, rule.Mark = 100, 100, unix.AF_INET, 7
	everything := netlink.NewIPNet(net.IPv4zero)
	everything.Mask = net.CIDRMask(0, 32)
	for _, err := range []error{
		client.Netlink().RouteAdd(&netlink.Route{Dst: everything, Table: 100, Gw: net.IPv4(10, 0, 3, 2)}), client.Netlink().RuleAdd(rule),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	g := gomega.NewWithT(t)
	dns := dns.Within(500 * time.Millisecond)
	g.Expect(client).To(probes.BeIsolatedFrom(server, dns.Mark(7).From(netip.MustParseAddr("10.0.3.1")).FromInterface("alt")).At("gw").By("it"))
	said := failures(func(g gomega.Gomega) { g.Expect(client).To(probes.BeIsolatedFrom(server, dns.Mark(7))) })
	g.Expect(said).To(gomega.ContainElement(gomega.ContainSubstring("asked from 10.0.1.1, was reached")))
	g.Expect(said).To(gomega.ContainElement(gomega.ContainSubstring("asked from 10.0.3.1, asked by a socket bound to lan: what is sent there does arrive")))
}
