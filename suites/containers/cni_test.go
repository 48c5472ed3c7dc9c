package containers_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// pods are namespaces without links, and a host beside them that has the CNI plugins.
func pods(names ...string) *harness.Lab {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.Unpacked("containernetworking-plugins"), harness.NftTool, harness.OwnProc, harness.Overlay)
	network := topo.New("cni")
	network.Router("host")
	for _, name := range names {
		network.Host(name)
	}
	lab := harness.Up(GinkgoTB(), network)
	installed(lab.Node("host"), "containernetworking-plugins")
	return lab
}

// cni has a plugin do something for a pod, as a container runtime would.
func cni(host *harness.Node, command, plugin, pod, config string) {
	GinkgoHelper()
	cmd := host.Command("/usr/lib/cni/" + plugin)
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+command, "CNI_CONTAINERID="+pod, "CNI_NETNS=/run/netns/"+pod, "CNI_IFNAME=eth0", "CNI_PATH=/usr/lib/cni")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(`{"cniVersion": "0.4.0", "name": "pods", "type": %q, %s}`, plugin, config))
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
}

// found attaches the nodes of a lab, as if somebody else had made them.
func found(lab *harness.Lab, traced string) *harness.Lab {
	GinkgoHelper()
	var existing []harness.Existing
	for _, node := range lab.Nodes() {
		existing = append(existing, harness.Existing{Name: node.Name(), Path: node.Path(), Traced: node.Name() == traced})
	}
	return harness.AttachLab(GinkgoTB(), "found", existing...)
}

var _ = Describe("what CNI's plugins made", func() {
	It("is a bridge, on which a rule keeps two pods apart", func() {
		made := pods("web", "db", "log")
		host := made.Node("host")
		const config = `"bridge": "cni0", "isGateway": true, "ipam": {"type": "host-local", "subnet": "10.88.0.0/16"}`
		for _, pod := range []string{"web", "db", "log"} {
			cni(host, "ADD", "bridge", pod, config)
		}
		lab := found(made, "host")
		web, db, log := lab.Node("web"), lab.Node("db"), lab.Node("log")
		probes.Serve(GinkgoTB(), db, ssh)
		Expect(web).To(probes.Reach(db, icmp, ssh))
		Expect(web).To(probes.Reach(lab.Node("host").On("cni0"), icmp))

		Expect(host.Nft(`table bridge pods { chain forward { type filter hook forward priority 0; ip saddr ` + web.Addr().String() + ` tcp dport 22 drop comment "no ssh"; }; }`)).To(Succeed())
		Expect(web).To(probes.BeIsolatedFrom(db, ssh).At("host").By("no ssh"))
		Expect(log).To(probes.Reach(db, icmp, ssh))

		cni(host, "DEL", "bridge", "web", config)
		Eventually(func() ([]netip.Addr, error) { return web.Addrs(), nil }).Should(BeEmpty(), "the pod's interface is gone")
		Expect(log).To(probes.Reach(db, icmp))
	})

	It("is a pair a pod, between which the host routes", func() {
		made := pods("web", "db")
		host := made.Node("host")
		for _, pod := range []string{"web", "db"} {
			cni(host, "ADD", "ptp", pod, `"ipam": {"type": "host-local", "subnet": "10.88.0.0/16", "routes": [{"dst": "0.0.0.0/0"}]}`)
		}
		lab := found(made, "host")
		Expect(lab.Node("web")).To(probes.Reach(lab.Node("db"), icmp))
		Expect(host.Nft(`table ip pods { chain forward { type filter hook forward priority 0; policy drop; }; }`)).To(Succeed())
		Expect(lab.Node("web")).To(probes.BeIsolatedFrom(lab.Node("db"), icmp, ssh).At("host").By("policy drop of ip pods forward"))
	})
})

var _ = Describe("CNI's macvlan plugin", func() {
	It("gives pods an interface of a link each, by which they reach one another, and not the host", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.MACVLAN)
		made := pods("web", "db")
		host := made.Node("host")
		sh(host, `ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up; ip addr add 10.88.0.1/16 dev up0`)
		for _, pod := range []string{"web", "db"} {
			cni(host, "ADD", "macvlan", pod, `"master": "up0", "mode": "bridge", "ipam": {"type": "host-local", "subnet": "10.88.0.0/16", "rangeStart": "10.88.0.10"}`)
		}
		lab := found(made, "host")
		pod, db := lab.Node("web"), lab.Node("db")
		probes.Serve(GinkgoTB(), db, ssh)
		Expect(connects(pod, db.Addr(), 22, comes)).To(BeTrue())
		Expect(pod).To(probes.Reach(db, icmp, ssh).WithContext(ctx))
		Expect(connects(pod, netip.MustParseAddr("10.88.0.1"), 22, stays)).To(BeFalse())
		Expect(pod).NotTo(probes.BeIsolatedFrom(netip.MustParseAddr("10.88.0.1"), icmp).WithContext(ctx), "no policy, but how macvlan is")
	})
})

var _ = Describe("CNI's firewall plugin", func() {
	It("lets in what a pod asked for, where the host drops what it forwards", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.IptablesTool)
		made := pods("web", "db")
		host := made.Node("host")
		Expect(host.Iptables("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n")).To(Succeed())
		for _, pod := range []string{"web", "db"} {
			cni(host, "ADD", "ptp", pod, `"ipam": {"type": "host-local", "subnet": "10.88.0.0/16", "routes": [{"dst": "0.0.0.0/0"}]}`)
		}
		lab := found(made, "host")
		pod, db := lab.Node("web"), lab.Node("db")
		probes.Serve(GinkgoTB(), db, ssh)
		Expect(connects(pod, db.Addr(), 22, stays)).To(BeFalse())
		Expect(pod).To(probes.BeIsolatedFrom(db, icmp, ssh).At("host").By("policy drop of ip filter FORWARD").WithContext(ctx))

		for _, of := range []*harness.Node{pod, db} {
			cni(host, "ADD", "firewall", of.Name(), fmt.Sprintf(`"backend": "iptables", "prevResult": {"cniVersion": "0.4.0",
				"interfaces": [{"name": "eth0", "sandbox": "/run/netns/%s"}], "ips": [{"version": "4", "interface": 0, "address": "%s/32"}]}`, of.Name(), of.Addr()))
		}
		Expect(sh(host, `iptables-save -t filter`)).To(ContainSubstring("CNI-FORWARD"))
		Expect(connects(pod, db.Addr(), 22, comes)).To(BeTrue())
		Expect(pod).To(probes.Reach(db, icmp, ssh).WithContext(ctx))
	})
})
