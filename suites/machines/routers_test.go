package machines_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// virtual is the address that two routers share (RFC 5798).
const virtual = "10.0.1.254"

// vrrp has two routers share the address on their lan by VRRP, as keepalived does, which advertises it
// so often, and returns when the first has it. Each says its name at port 80.
func vrrp(interval time.Duration, routers ...*harness.Node) {
	GinkgoHelper()
	for i, node := range routers {
		installed([]string{"keepalived"}, node)
		named(node, 80)
		sh(node, fmt.Sprintf(`mkdir -p /etc/keepalived; cat >/etc/keepalived/keepalived.conf <<END
global_defs {
	vrrp_version 3
}
vrrp_instance lan {
	state BACKUP
	interface lan
	virtual_router_id 51
	priority %d
	advert_int %g
	virtual_ipaddress {
		%s/24
	}
}
END`, 200-100*i, interval.Seconds(), virtual))
		harness.Start(GinkgoTB(), node.Command("keepalived", "--dont-fork", "--log-console", "--vrrp", "--dump-conf"),
			harness.Printed([]string{"Entering MASTER STATE", "Entering BACKUP STATE"}[i]))
	}
}

var _ = Describe("keepalived on two routers", func() {
	It("moves the address to the other, which answers at once, and back", func() {
		harness.Require(GinkgoTB(), harness.Unpacked("keepalived"), harness.OwnProc, harness.Overlay)
		network := topo.New("vrrp")
		lan := network.Switch("lan", "10.0.1.0/24")
		network.Host("client", lan)
		network.Router("one", lan)
		network.Router("two", lan)
		lab := harness.Up(GinkgoTB(), network)
		client, one, two := lab.Node("client"), lab.Node("one"), lab.Node("two")
		has := func(node *harness.Node) bool {
			return strings.Contains(sh(node, `ip -4 addr show dev lan`), " "+virtual+"/")
		}
		vrrp(100*time.Millisecond, one, two)
		Expect(has(one)).To(BeTrue())
		Expect(has(two)).To(BeFalse())
		Eventually(who(client, virtual)).Should(Equal("one"))

		Expect(one.Port("lan").Down()).To(Succeed())
		// The second waits for three advertisements and its skew: 100 ms x (3 + 156/256).
		Eventually(who(client, virtual), patience, "10ms").Should(Equal("two"))
		Expect(has(two)).To(BeTrue())
		Eventually(has, patience).WithArguments(one).Should(BeFalse(), "its link is down")

		Expect(one.Port("lan").Up()).To(Succeed())
		var both time.Duration
		var since time.Time
		Eventually(func() bool {
			first, second := has(one), has(two)
			if first && second && since.IsZero() {
				since = time.Now()
			}
			if !since.IsZero() {
				both = time.Since(since)
			}
			return first && !second
		}, patience, "10ms").Should(BeTrue())
		// The first may wait for 361 ms, as above, before it takes the address from the second.
		Expect(both).To(BeNumerically("<", time.Second), "both had the address")
		Eventually(who(client, virtual), patience, "50ms").Should(Equal("one"))
	})
})

// triangle is three routers that know no more than their own links, and a host at two.
func triangle() (client, server *harness.Node, routers []*harness.Node) {
	GinkgoHelper()
	network := topo.New("triangle")
	lan, dmz := network.Switch("lan", "10.0.1.0/24"), network.Switch("dmz", "10.0.2.0/24")
	w12, w13, w32 := network.Wire("w12", "10.1.2.0/24"), network.Wire("w13", "10.1.3.0/24"), network.Wire("w32", "10.3.2.0/24")
	network.Host("client", lan)
	network.Host("server", dmz)
	network.Router("r1", lan, w12, w13).NoRoutes()
	network.Router("r2", dmz, w12, w32).NoRoutes()
	network.Router("r3", w13, w32).NoRoutes()
	lab := harness.Up(GinkgoTB(), network)
	return lab.Node("client"), lab.Node("server"), []*harness.Node{lab.Node("r1"), lab.Node("r2"), lab.Node("r3")}
}

// learned is the first router's route to the server's network.
func learned(routers []*harness.Node) func() string {
	return func() string { return sh(routers[0], `ip route show 10.0.2.0/24`) }
}

// moves holds when the route leads by the direct link, by the third router while that is
// down, and back: each time what is sent arrives.
func moves(client, server *harness.Node, routers []*harness.Node, from string) {
	GinkgoHelper()
	named(server, 80)
	direct := And(ContainSubstring("via 10.1.2.2 dev w12 "), ContainSubstring(from))
	Eventually(learned(routers), patience, "50ms").Should(direct)
	Eventually(who(client, server.Addr().String()), patience, "50ms").Should(Equal("server"))

	Expect(routers[0].Port("w12").Down()).To(Succeed())
	Eventually(learned(routers), patience, "50ms").Should(And(ContainSubstring("via 10.1.3.2 dev w13 "), ContainSubstring(from)))
	Eventually(who(client, server.Addr().String()), patience, "50ms").Should(Equal("server"))

	Expect(routers[0].Port("w12").Up()).To(Succeed())
	Eventually(learned(routers), patience, "50ms").Should(direct)
	Eventually(who(client, server.Addr().String()), patience, "50ms").Should(Equal("server"))
}

// bgp has the routers of a triangle tell each other of their networks, as FRR does, with a keepalive a
// second and a hold time of three.
func bgp(routers []*harness.Node) {
	GinkgoHelper()
	peers := [][]string{{"10.1.2.2", "10.1.3.2"}, {"10.1.2.1", "10.3.2.2"}, {"10.1.3.1", "10.3.2.1"}}
	networks := []string{"network 10.0.1.0/24", "network 10.0.2.0/24", ""}
	for i, node := range routers {
		installed([]string{"frr"}, node)
		neighbours := ""
		for _, peer := range peers[i] {
			neighbours += fmt.Sprintf("neighbor %s remote-as external\nneighbor %[1]s timers connect 1\n", peer)
		}
		configure(node, fmt.Sprintf(`
			user frr 120 /var/run/frr
			grep -q ^frrvty: /etc/group || echo frrvty:x:121:frr >>/etc/group
			mkdir -p /run/frr /var/lib/frr /etc/frr
			printf 'router bgp 6500%d\nbgp router-id 192.0.2.%[1]d\nno bgp ebgp-requires-policy\ntimers bgp 1 3\n%s%s\n' >/etc/frr/bgpd.conf
			touch /etc/frr/zebra.conf /etc/frr/vtysh.conf
			chown -R frr:frr /etc/frr /run/frr /var/lib/frr`, i+1, neighbours, networks[i]))
		harness.Start(GinkgoTB(), node.Command("/usr/lib/frr/zebra", "-A", "127.0.0.1"), harness.Exists("/run/frr/zserv.api"))
		harness.Start(GinkgoTB(), node.Command("/usr/lib/frr/bgpd", "-A", "127.0.0.1", "-f", "/etc/frr/bgpd.conf"), harness.Listening("tcp", 179))
	}
}

var _ = Describe("routers that learn their routes", func() {
	It("are BIRD's, by OSPF", func() {
		harness.Require(GinkgoTB(), harness.Unpacked("bird2"), harness.OwnProc, harness.Overlay)
		client, server, routers := triangle()
		for i, node := range routers {
			installed([]string{"bird2"}, node)
			sh(node, fmt.Sprintf(`mkdir -p /run/bird /etc/bird; cat >/etc/bird/bird.conf <<END
router id 192.0.2.%d;
protocol device {}
protocol kernel { ipv4 { export all; }; }
protocol ospf v2 {
	ipv4 { import all; };
	area 0 {
		interface "w*" { type ptp; hello 1; dead count 3; retransmit 2; };
		interface "lan", "dmz" { stub; };
	};
}
END`, i+1))
			harness.Start(GinkgoTB(), node.Command("bird", "-f", "-s", "/run/bird/bird.ctl"), harness.Exists("/run/bird/bird.ctl"))
		}
		moves(client, server, routers, "proto bird")
		Expect(sh(routers[0], `birdc -s /run/bird/bird.ctl show ospf neighbors`)).To(And(ContainSubstring("192.0.2.2"), ContainSubstring("192.0.2.3")))
	})

	It("are FRR's, by BGP", func() {
		harness.Require(GinkgoTB(), harness.Unpacked("frr"), harness.Users, harness.OwnProc, harness.Overlay)
		client, server, routers := triangle()
		bgp(routers)
		moves(client, server, routers, "proto bgp")
		Expect(sh(routers[0], `vtysh -c 'show ip bgp summary'`)).To(And(ContainSubstring("65002"), ContainSubstring("65003")))
	})
})

var _ = Describe("a proxy", func() {
	It("is haproxy, which asks the second service while the first is dead", func() {
		harness.Require(GinkgoTB(), harness.Unpacked("haproxy"), harness.Users, harness.OwnProc, harness.Overlay)
		network := topo.New("proxy")
		lan := network.Switch("lan", "10.0.1.0/24")
		for _, name := range []string{"client", "proxy", "one", "two"} {
			network.Host(name, lan)
		}
		lab := harness.Up(GinkgoTB(), network)
		client, proxy, one, two := lab.Node("client"), lab.Node("proxy"), lab.Node("one"), lab.Node("two")
		first := named(one, 80)
		named(two, 80)
		installed([]string{"haproxy"}, proxy)
		configure(proxy, fmt.Sprintf(`
			user haproxy 122 /var/lib/haproxy
			mkdir -p /run/haproxy /var/lib/haproxy /etc/haproxy
			touch /etc/haproxy/haproxy.cfg
			printf 'frontend f\n bind :80\n mode tcp\n default_backend b\nbackend b\n mode tcp\n server one %%s:80 check inter 100ms fall 2\n server two %%s:80 check inter 100ms backup\n' %s %s >>/etc/haproxy/haproxy.cfg`,
			one.Addr(), two.Addr()))
		harness.Start(GinkgoTB(), proxy.Command("/usr/sbin/haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"), harness.Listening("tcp", 80))
		asked := who(client, proxy.Addr().String())
		Eventually(asked, patience, "50ms").Should(Equal("one"))
		Expect(first.Close()).To(Succeed())
		Eventually(asked, patience, "50ms").Should(Equal("two"))
		named(one, 80)
		Eventually(asked, patience, "50ms").Should(Equal("one"))
	})
})

// named has a service at a node that says the node's name.
func named(node *harness.Node, port uint16) net.Listener {
	GinkgoHelper()
	listener, err := node.Listen(context.Background(), "tcp", netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintln(conn, node.Name())
			_ = conn.Close()
		}
	}()
	return listener
}

// who says who answers at an address.
func who(client *harness.Node, addr string) func() (string, error) {
	return func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		conn, err := client.Dial(ctx, "tcp", netip.AddrPortFrom(netip.MustParseAddr(addr), 80))
		if err != nil {
			return "", err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		var name string
		_, err = fmt.Fscanln(conn, &name)
		return name, err
	}
}
