package probes_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// leaky is pc and site with fw between, which has rules.
func leaky(site func(network *topo.Network, lan, wan *topo.Segment), rules string) *topo.Network {
	network := topo.New("leaky")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	wan := network.Switch("wan", "10.0.9.0/24", "fd00:9::/64")
	network.Host("pc", lan)
	site(network, lan, wan)
	network.Router("fw", lan, wan).Nft(rules)
	return network
}

const closesNearest = `table inet filter { chain forward { type filter hook forward priority 0; policy accept;
	ip daddr 10.0.9.1 drop comment "closed"; ip6 daddr fd00:9::1 drop comment "closed"; }; }`

// Each of these leaves an address at which a plain service of the target's reads what the
// asker sends.
func TestAnOpenAddressIsNoIsolation(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	for name, row := range map[string]struct {
		declare func(network *topo.Network, lan, wan *topo.Segment)
		change  func(lab *harness.Lab) error
		rules   string
		open    string // what the message has
		from    string // the source that a plain socket needs to get there
		to      string // where it gets
	}{
		"on a second segment": {
			declare: func(network *topo.Network, _, wan *topo.Segment) {
				back := network.Switch("back", "10.0.5.0/24")
				network.Host("site", wan, back)
				network.Router("gw", wan, back)
			},
			rules: closesNearest, to: "10.0.5.1",
		},
		"one more on the segment": {
			declare: func(network *topo.Network, _, wan *topo.Segment) {
				network.Host("site", wan.At("10.0.9.1").Also("10.0.9.77/24"))
			},
			rules: closesNearest, to: "10.0.9.77",
		},
		"on the loopback": {
			declare: func(network *topo.Network, _, wan *topo.Segment) {
				network.Host("site", wan).Loopback("192.0.2.1/32")
			},
			rules: closesNearest, to: "192.0.2.1",
		},
		"by a route alone": {
			declare: func(network *topo.Network, _, wan *topo.Segment) {
				network.Host("site", wan)
			},
			change: func(lab *harness.Lab) error {
				site := lab.Node("site")
				lo, err := site.Netlink().LinkByName("lo")
				if err != nil {
					return err
				}
				prefix := netlink.NewIPNet(net.IPv4(10, 0, 50, 0))
				prefix.Mask = net.CIDRMask(24, 32)
				if err := site.Netlink().RouteAdd(&netlink.Route{Dst: prefix, LinkIndex: lo.Attrs().Index, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST}); err != nil {
					return err
				}
				return lab.Node("fw").Netlink().RouteAdd(&netlink.Route{Dst: prefix, Gw: net.IPv4(10, 0, 9, 1)})
			},
			rules: closesNearest, to: "10.0.50.1",
		},
		"added while the lab runs": {
			declare: func(network *topo.Network, _, wan *topo.Segment) { network.Host("site", wan) },
			change:  func(lab *harness.Lab) error { return addAddr(lab.Node("site"), "wan", "10.0.9.88/24") },
			rules:   closesNearest, to: "10.0.9.88",
		},
		"link-local, on the asker's own link": {
			declare: func(network *topo.Network, lan, _ *topo.Segment) {
				network.Host("site", lan.At("10.0.1.9", "fd00:1::9")).Nft(`table inet filter { chain input {
					type filter hook input priority 0; policy accept;
					ip daddr 10.0.1.9 drop comment "closed"; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; ip6 daddr fd00:1::9 drop comment "closed"; }; }`)
			},
			to: "fe80::",
		},
		"from the asker's other address": {
			declare: func(network *topo.Network, _, wan *topo.Segment) { network.Host("site", wan) },
			change:  func(lab *harness.Lab) error { return addAddr(lab.Node("pc"), "lan", "10.0.1.66/24") },
			rules: `table inet filter { chain forward { type filter hook forward priority 0; policy accept;
				ip saddr 10.0.1.1 drop comment "closed"; ip6 saddr fd00:1::1 drop comment "closed"; }; }`,
			from: "10.0.1.66", to: "10.0.9.1", open: "site at 10.0.9.1, asked from 10.0.1.66, was reached",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := harness.Up(t, leaky(row.declare, row.rules))
			if row.change != nil {
				if err := row.change(lab); err != nil {
					t.Fatal(err)
				}
			}
			pc, site := lab.Node("pc"), lab.Node("site")
			probes.Serve(t, site, web)
			g := gomega.NewWithT(t)
			for _, p := range []probes.Probe{icmp, web} {
				g.Expect(watch(t, pc, site, p)).To(probes.BeIsolatedFrom(site).By("closed"), "the control: the nearest is closed")
				holds, err := probes.BeIsolatedFrom(site, p).Match(pc)
				want := row.open
				if want == "" {
					want = "site at " + row.to
				}
				if holds || err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "was reached") {
					t.Errorf("%s: want %q: %v, %v", p, want, holds, err)
				}
			}
			if !strings.HasPrefix(row.to, "fe80") {
				connects(t, pc, row.from, row.to+":80")
			}
		})
	}
}

// At the addresses that do not decide it only matters that nothing is delivered.
func TestAddressesThatAreNotReachedAnyway(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, leaky(func(network *topo.Network, lan, wan *topo.Segment) {
		back := network.Switch("back", "10.0.5.0/24", "fd00:5::/64")
		network.Host("site", wan, back) // no way leads to back
	}, closesNearest))
	pc, site, fw := lab.Node("pc"), lab.Node("site"), lab.Node("fw")
	g := gomega.NewWithT(t)
	g.Expect(pc).To(probes.BeIsolatedFrom(site, icmp).At("fw").By("closed").Because(evidence.Drop), "a second link without a way")

	if err := fw.SetSysctl("net.ipv4.conf.lan.rp_filter", "1"); err != nil {
		t.Fatal(err)
	}
	if err := addAddr(pc, "lan", "10.0.77.1/24"); err != nil {
		t.Fatal(err)
	}
	g.Expect(pc).To(probes.BeIsolatedFrom(site, icmp).At("fw").By("closed"), "a second source that is filtered")
	g.Expect(pc).To(probes.BeIsolatedFrom(site.On("wan"), icmp).At("fw"))
	g.Expect(pc).To(probes.BeIsolatedFrom(netip.MustParseAddr("10.0.9.1"), icmp).At("fw"))

	_, err := probes.BeIsolatedFrom(site, icmp).At("site").Match(pc)
	for _, want := range []string{"pc (10.0.77.1) -> site (10.0.9.1) icmp: silent: ", "pc (10.0.1.1) -> site (10.0.5.1) icmp: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("what ended them is told: want %q in %v", want, err)
		}
	}
}

// What ends the way to the nearest address is no policy: the others do not help.
func TestMistakesAtTheNearestIsolateNobody(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, leaky(func(network *topo.Network, lan, wan *topo.Segment) {
		network.Host("site", wan.Also("10.0.9.77/24"))
	}, `table inet filter { chain forward { type filter hook forward priority 0; policy accept; ip daddr 10.0.9.77 drop; }; }`))
	pc, site := lab.Node("pc"), lab.Node("site")
	if err := site.Port("wan").Down(); err != nil {
		t.Fatal(err)
	}
	if holds, err := probes.BeIsolatedFrom(site, briefly(icmp)...).Match(pc); holds || err == nil || !strings.Contains(err.Error(), "the link is down: no policy isolates here") {
		t.Error(holds, err)
	}
	gomega.NewWithT(t).Expect(pc).To(probes.BeIsolatedFrom(site, briefly(icmp)...).Because(evidence.LinkDown))
}

func watch(t *testing.T, from *harness.Node, to probes.Target, p probes.Probe) probes.Result {
	t.Helper()
	result, err := probes.Watch(t.Context(), from, to, p)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func addAddr(node *harness.Node, port, addr string) error {
	link, err := node.Netlink().LinkByName(port)
	if err != nil {
		return err
	}
	parsed, err := netlink.ParseAddr(addr)
	if err != nil {
		return err
	}
	return node.Netlink().AddrAdd(link, parsed)
}

// connects is the judge: a plain connection from one address to another.
func connects(t *testing.T, from *harness.Node, source, to string) {
	t.Helper()
	dialer := net.Dialer{}
	if source != "" {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(source), 0))
	}
	err := from.Do(func() error {
		conn, err := dialer.Dial("tcp", to) // a literal address: dialled from this very thread
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	if err != nil {
		t.Errorf("the judge: %v", err)
	}
}
