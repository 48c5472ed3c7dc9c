package neutron_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// l3 are the rules of a router of neutron-l3-agent: a floating address for one machine, the gateway's
// for all others, and the metadata's address handed to a proxy.
const l3 = `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:neutron-l3-agent-PREROUTING - [0:0]
:neutron-l3-agent-POSTROUTING - [0:0]
:neutron-l3-agent-float-snat - [0:0]
:neutron-l3-agent-snat - [0:0]
-A PREROUTING -j neutron-l3-agent-PREROUTING
-A POSTROUTING -j neutron-l3-agent-POSTROUTING
-A POSTROUTING -j neutron-l3-agent-snat
-A neutron-l3-agent-POSTROUTING ! -o qg -m conntrack ! --ctstate DNAT -j ACCEPT
-A neutron-l3-agent-PREROUTING -d 169.254.169.254/32 -i qr-+ -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 9697
-A neutron-l3-agent-PREROUTING -d FLOATING/32 -j DNAT --to-destination 10.0.1.11
-A neutron-l3-agent-float-snat -s 10.0.1.11/32 -j SNAT --to-source FLOATING
-A neutron-l3-agent-snat -j neutron-l3-agent-float-snat
-A neutron-l3-agent-snat -o qg -j SNAT --to-source GATEWAY
COMMIT
`

// floating is the address outside by which a tenant's first machine is reached.
func floating(tenant int) netip.Addr {
	return netip.AddrFrom4([4]byte{203, 0, 113, byte(101 + tenant)})
}

// provider is two tenants of the same addresses whose routers are on a provider's network, and a
// machine out there. The routers have packages' files.
func provider(packages ...string) *harness.Lab {
	GinkgoHelper()
	network := topo.New("provider")
	ext := network.Switch("br-ex", "203.0.113.0/24")
	plug := openvswitch()(network)
	var rules []string
	for i, tenant := range owners {
		a, b := plug(tenant)
		gateway := fmt.Sprintf("203.0.113.%d", 11+i)
		network.Router("qrouter-"+tenant, a().As("qr-a").At("10.0.1.1"), b().As("qr-b").At("10.0.2.1"), ext.As("qg").At(gateway).Also(floating(i).String()+"/32"))
		rules = append(rules, strings.NewReplacer("FLOATING", floating(i).String(), "GATEWAY", gateway).Replace(l3))
		network.Host("vm1-"+tenant, a().As("eth0").At("10.0.1.11")).Route(topo.Route{To: "default", Via: "10.0.1.1"})
		network.Host("vm2-"+tenant, b().As("eth0").At("10.0.2.11")).Route(topo.Route{To: "default", Via: "10.0.2.1"})
	}
	network.Host("world", ext.As("eth0").At("203.0.113.200")).NoRoutes()
	lab := harness.Up(GinkgoTB(), network)
	for i, tenant := range owners {
		router := lab.Node("qrouter-" + tenant)
		for _, name := range packages {
			installed(name, router)
		}
		Expect(router.Iptables(rules[i])).To(Succeed())
	}
	return lab
}

var _ = Describe("a router of each tenant", func() {
	BeforeEach(func() { harness.Require(GinkgoTB(), harness.OVS, harness.IptablesTool) })

	It("has floating addresses, and what is behind it is out of reach until a route leaks", func(ctx SpecContext) {
		lab := provider()
		world, inside := lab.Node("world"), lab.Node("vm2-red")
		for i, tenant := range owners {
			vm := lab.Node("vm1-" + tenant)
			probes.Serve(GinkgoTB(), vm, probes.TCP(80))
			Expect(world).To(probes.Reach(floating(i), probes.TCP(80)).AnsweredBy(vm.Name()).WithContext(ctx))
			for _, from := range []string{"vm1-", "vm2-"} {
				Expect(lab.Node(from + tenant)).To(probes.Reach(world, probes.ICMP()).WithContext(ctx))
			}
		}
		probes.Serve(GinkgoTB(), inside, probes.TCP(22))
		Expect(connects(world, netip.AddrPortFrom(inside.Addr(), 22), stays)).To(BeFalse())
		Expect(world).To(probes.BeIsolatedFrom(inside, probes.TCP(22), probes.ICMP()).Because(evidence.NoRoute).At("world").WithContext(ctx))

		By("leaking a route")
		Expect(world.AddRoute(topo.Route{To: "10.0.2.0/24", Via: "203.0.113.11"})).To(Succeed())
		Expect(connects(world, netip.AddrPortFrom(inside.Addr(), 22), patience)).To(BeTrue())
		Expect(world).NotTo(probes.BeIsolatedFrom(inside, probes.TCP(22)).WithContext(ctx))
		Expect(world).To(probes.Reach(inside, probes.TCP(22)).Through("qrouter-red").WithContext(ctx))
	})

	It("hands the metadata's address to a proxy, which says whose machine asks", func() {
		harness.Require(GinkgoTB(), harness.Unpacked("haproxy"), harness.OwnProc, harness.Overlay)
		lab := provider("haproxy")
		socket := filepath.Join(GinkgoT().TempDir(), "metadata_proxy")
		listener, err := net.Listen("unix", socket)
		Expect(err).NotTo(HaveOccurred())
		agent := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, "%s of %s", r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Neutron-Router-ID"))
		})}
		go func() { _ = agent.Serve(listener) }()
		DeferCleanup(agent.Close)
		for _, tenant := range owners {
			router := lab.Node("qrouter-" + tenant)
			sh(router, fmt.Sprintf(`mkdir -p /etc/neutron; cat >/etc/neutron/proxy.cfg <<END
defaults
 mode http
 option forwardfor
 timeout client 32s
 timeout connect 5s
 timeout server 32s
listen listener
 bind 0.0.0.0:9697
 server metadata unix@%s
 http-request set-header X-Neutron-Router-ID %s
END`, socket, router.Name()))
			harness.Start(GinkgoTB(), router.Command("/usr/sbin/haproxy", "-db", "-f", "/etc/neutron/proxy.cfg"), harness.Listening("tcp", 9697))
		}
		for _, tenant := range owners {
			Expect(metadata(lab.Node("vm1-" + tenant))).To(Equal("10.0.1.11 of qrouter-" + tenant))
		}
	})
})

// metadata is what a machine is told of itself.
func metadata(vm *harness.Node) string {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := vm.Dial(ctx, "tcp", netip.MustParseAddrPort("169.254.169.254:80"))
	Expect(err).NotTo(HaveOccurred())
	defer conn.Close()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://169.254.169.254/latest/meta-data/", nil)
	Expect(err).NotTo(HaveOccurred())
	request.Close = true
	Expect(request.Write(conn)).To(Succeed())
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	var text strings.Builder
	_, err = bufio.NewReader(response.Body).WriteTo(&text)
	Expect(err).NotTo(HaveOccurred())
	return text.String()
}

var _ = Describe("a DHCP server of each tenant", func() {
	It("gives a machine its tenant's address, by its MAC", func() {
		harness.Require(GinkgoTB(), harness.Unpacked("dnsmasq", "isc-dhcp-client"), harness.OVS, harness.Users, harness.OwnProc, harness.Overlay)
		lab := harness.Up(GinkgoTB(), cloud(openvswitch()))
		for i, tenant := range owners {
			dhcp, vm := lab.Node("qdhcp-"+tenant), lab.Node("vm1-"+tenant)
			addr := fmt.Sprintf("10.0.1.%d", 50+i) // the same MAC has another address with each
			installed("dnsmasq", dhcp)
			installed("isc-dhcp-client", vm)
			sh(dhcp, `mkdir -p /var/lib/neutron; echo 'fa:16:3e:00:00:11,vm1.`+tenant+`,`+addr+`' >/var/lib/neutron/host`)
			harness.Start(GinkgoTB(), dhcp.Command("dnsmasq", "--no-hosts", "--no-resolv", "--keep-in-foreground", "--user=root", "--log-facility=-", "--interface=tap", "--bind-interfaces",
				"--dhcp-hostsfile=/var/lib/neutron/host", "--dhcp-range=set:a,10.0.1.0,static,255.255.255.0,86400s", "--dhcp-authoritative", "--leasefile-ro", "--pid-file="),
				harness.Listening("udp", 67))
			sh(vm, `ip -4 addr flush dev eth0; mkdir -p /var/lib/dhcp`)
			harness.Start(GinkgoTB(), vm.Command("dhclient", "-d", "-v", "eth0"), harness.Printed("bound to "+addr))
			Expect(sh(vm, `ip -4 -o addr show dev eth0`)).To(ContainSubstring(addr + "/24"))
		}
	})
})
