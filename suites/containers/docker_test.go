package containers_test

import (
	"context"
	"fmt"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// network is one of a host's: a bridge, and two containers behind it.
type network struct {
	bridge, v4, v6 string // the prefixes without their last part: "172.17.0", "fd00:17:"
	containers     []string
}

var networks = []network{{"docker0", "172.17.0", "fd00:17:", []string{"web", "db"}}, {"br-other", "172.18.0", "fd00:18:", []string{"other"}}}

// hosting is a machine with containers as Docker and Podman connect them, a pair to a bridge each, and
// two machines outside. The first container serves.
func hosting() (lab *harness.Lab, outside, host, web *harness.Node) {
	GinkgoHelper()
	net := topo.New("hosting")
	lan := net.Switch("lan", "10.0.9.0/24", "fd00:9::/64")
	ports := []topo.Attachment{lan}
	bridged := map[string][]topo.Interface{}
	for _, n := range networks {
		for i, name := range n.containers {
			var prefixes []string
			if i == 0 { // the bridge joins the others to it
				prefixes = []string{n.v4 + ".0/16", n.v6 + ":/64"}
			}
			wire := net.Wire("veth-"+name, prefixes...)
			port := wire.As("veth-" + name).NoAddress()
			ports, bridged[n.bridge] = append(ports, port), append(bridged[n.bridge], port)
			net.Host(name, wire.As("eth0").At(fmt.Sprintf("%s.%d", n.v4, i+2), fmt.Sprintf("%s:%d", n.v6, i+2)))
		}
	}
	router := net.Router("host", ports...)
	for _, n := range networks {
		router.Bridge(n.bridge, bridged[n.bridge]...).Address(n.v4+".1/16", n.v6+":1/64")
	}
	net.Host("outside", lan)
	net.Host("admin", lan)
	lab = harness.Up(GinkgoTB(), net)
	outside, host, web = lab.Node("outside"), lab.Node("host"), lab.Node("web")
	for _, port := range []probes.Probe{probes.TCP(80), ssh} {
		probes.Serve(GinkgoTB(), web, port)
	}
	return lab, outside, host, web
}

// docker are the rules of dockerd for these networks, with port 8080 published for the first container's
// 80 (docs.docker.com, packet filtering and firewalls).
const docker = `*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 172.18.0.0/16 ! -o br-other -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER -i br-other -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A FORWARD -o br-other -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o br-other -j DOCKER
-A FORWARD -i br-other ! -o br-other -j ACCEPT
-A FORWARD -i br-other -o br-other -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -i br-other ! -o br-other -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -o br-other -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
`

// docker6 are the rules of dockerd for IPv6, which it has where ip6tables is on.
const docker6 = `*filter
:FORWARD DROP [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
`

var _ = Describe("Docker's rules", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.IptablesTool) })

	It("publish a port, and keep all others in, and networks apart", func(ctx SpecContext) {
		lab, outside, host, web := hosting()
		Expect(host.Iptables(docker)).To(Succeed())
		Expect(host.Ip6tables(docker6)).To(Succeed())
		Expect(connects(outside, host.On("lan").Addrs()[0], 8080, comes)).To(BeTrue())
		Expect(outside).To(probes.Reach(host.On("lan").Addrs()[0], probes.TCP(8080)).AnsweredBy("web").WithContext(ctx))
		Expect(connects(outside, web.Addr(), 22, stays)).To(BeFalse())
		Expect(outside).To(probes.BeIsolatedFrom(web, ssh).At("host").By("policy drop of ip filter FORWARD", "policy drop of ip6 filter FORWARD").WithContext(ctx))
		Expect(lab.Node("db")).To(probes.Reach(web, icmp, ssh).WithContext(ctx))
		Expect(web).To(probes.Reach(outside, icmp).WithContext(ctx))

		other := lab.Node("other")
		Expect(connects(other, web.Addr(), 80, stays)).To(BeFalse())
		Expect(other).To(probes.BeIsolatedFrom(web, probes.TCP(80)).At("host").By(`oifname "docker0" counter drop`, "policy drop of ip6 filter FORWARD").WithContext(ctx))
	})

	It("let in who has a route to a published container, past the address that is published", func(ctx SpecContext) {
		_, outside, host, web := hosting()
		Expect(host.Iptables(docker)).To(Succeed())
		Expect(host.Ip6tables(docker6)).To(Succeed())
		Expect(connects(outside, web.Addr(), 80, comes)).To(BeTrue())
		reached(ctx, outside, probes.BeIsolatedFrom(web, probes.TCP(80)))
	})

	It("are narrowed in DOCKER-USER, by who comes", func(ctx SpecContext) {
		lab, outside, host, _ := hosting()
		admin := lab.Node("admin")
		Expect(host.Iptables(docker)).To(Succeed())
		sh(host, `iptables -I DOCKER-USER -i lan ! -s `+admin.Addr().String()+` -m comment --comment "admins alone" -j DROP`)
		published := host.On("lan").Addrs()[0]
		Expect(connects(admin, published, 8080, comes)).To(BeTrue())
		Expect(connects(outside, published, 8080, stays)).To(BeFalse())
		Expect(admin).To(probes.Reach(published, probes.TCP(8080)).AnsweredBy("web").WithContext(ctx))
		Expect(outside).To(probes.BeIsolatedFrom(published, probes.TCP(8080)).At("host").By("admins alone").WithContext(ctx))
	})

	It("keep nobody from a container's IPv6 address, where ip6tables is off", func(ctx SpecContext) {
		_, outside, host, web := hosting()
		Expect(host.Iptables(docker)).To(Succeed())
		Expect(connects(outside, web.Addrs()[1], 22, comes)).To(BeTrue())
		reached(ctx, outside, probes.BeIsolatedFrom(web, ssh))

		Expect(host.Ip6tables(docker6)).To(Succeed())
		Expect(outside).To(probes.BeIsolatedFrom(web, ssh).By("policy drop of ip filter FORWARD", "policy drop of ip6 filter FORWARD").WithContext(ctx))
	})
})

// netavark are the rules of Podman's netavark for the same, both networks isolated, by its nftables driver.
const netavark = `table inet netavark {
	chain INPUT { type filter hook input priority filter; policy accept; }
	chain FORWARD {
		type filter hook forward priority filter; policy accept;
		ct state invalid drop
		jump NETAVARK-ISOLATION-1
		ip daddr 172.17.0.0/16 ct state established,related accept
		ip saddr 172.17.0.0/16 accept
		ip6 daddr fd00:17::/64 ct state established,related accept
		ip6 saddr fd00:17::/64 accept
	}
	chain POSTROUTING {
		type nat hook postrouting priority srcnat; policy accept;
		meta mark & 0x00002000 == 0x00002000 masquerade
		ip saddr 172.17.0.0/16 jump nv_netavark
	}
	chain PREROUTING {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local jump NETAVARK-HOSTPORT-DNAT
	}
	chain NETAVARK-HOSTPORT-DNAT { tcp dport 8080 jump nv_dnat; }
	chain NETAVARK-HOSTPORT-SETMARK { meta mark set meta mark | 0x00002000; }
	chain nv_dnat {
		ip saddr 172.17.0.0/16 tcp dport 8080 jump NETAVARK-HOSTPORT-SETMARK
		meta nfproto ipv4 tcp dport 8080 dnat ip to 172.17.0.2:80
	}
	chain nv_netavark { ip daddr 172.17.0.0/16 accept; ip daddr != 224.0.0.0/4 masquerade; }
	chain NETAVARK-ISOLATION-1 {
		iifname "docker0" oifname != "docker0" jump NETAVARK-ISOLATION-2
		iifname "br-other" oifname != "br-other" jump NETAVARK-ISOLATION-2
	}
	chain NETAVARK-ISOLATION-2 {
		oifname "docker0" drop
		oifname "br-other" drop
	}
}`

var _ = Describe("Podman's rules (netavark)", func() {
	It("publish a port, and keep isolated networks apart, but nobody outside from a container", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		lab, outside, host, web := hosting()
		Expect(host.Nft(netavark)).To(Succeed())
		published := host.On("lan").Addrs()[0]
		Expect(connects(outside, published, 8080, comes)).To(BeTrue())
		Expect(outside).To(probes.Reach(published, probes.TCP(8080)).AnsweredBy("web").WithContext(ctx))
		other := lab.Node("other")
		Expect(connects(other, web.Addr(), 80, stays)).To(BeFalse())
		Expect(other).To(probes.MustMatter(probes.BeIsolatedFrom(web, probes.TCP(80))).At("host").By(`oifname "docker0" drop`).WithContext(ctx))
		Expect(web).To(probes.BeIsolatedFrom(other, icmp).At("host").By(`oifname "br-other" drop`).WithContext(ctx))

		Expect(connects(outside, web.Addr(), 22, comes)).To(BeTrue(), "its policy is to accept")
		Expect(outside).NotTo(probes.BeIsolatedFrom(web, ssh).WithContext(ctx))
	})
})

// reached says that a check of isolation does not hold, as somebody answered at one address, though not at all.
func reached(ctx context.Context, from *harness.Node, check *probes.IsolationMatcher) {
	GinkgoHelper()
	ok, err := check.WithContext(ctx).Match(from)
	Expect(ok).To(BeFalse())
	Expect(err).To(MatchError(ContainSubstring("web was reached")))
}
