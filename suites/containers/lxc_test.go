package containers_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// lxcHost is a host with LXC, whose control groups are where LXC looks for them.
func lxcHost() *harness.Node {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.Root, harness.Unpacked("lxc", "busybox-static"), harness.OwnProc, harness.Overlay, harness.MACVLAN, harness.NftTool)
	network := topo.New("lxc")
	network.Router("host")
	host := harness.Up(GinkgoTB(), network).Node("host")
	installed(host, "lxc", "busybox-static")
	sh(host, `mount -t cgroup2 none /sys/fs/cgroup; mkdir -p /run/lxc`)
	DeferCleanup(func() { sh(host, `rmdir /sys/fs/cgroup/lxc.pivot 2>/dev/null || :`) }) // which LXC leaves
	return host
}

// container starts a privileged container of busybox by lxc-start, with a network's lines, and returns
// its first process. It is stopped after the spec, when LXC takes its control groups
// away.
func container(host *harness.Node, name, addr, net string) harness.Existing {
	GinkgoHelper()
	octets := netip.MustParseAddr(addr).As4()
	long := fmt.Sprintf("%d%d%d", os.Getpid(), octets[2], octets[3]) // no other sleeps as long
	sh(host, fmt.Sprintf(`
		cd /run/lxc; mkdir -p %[1]s/rootfs; cd %[1]s/rootfs; mkdir bin dev proc sys etc tmp; cp /bin/busybox bin/; ln -s busybox bin/sleep
		cat >../config <<END
lxc.rootfs.path = dir:/run/lxc/%[1]s/rootfs
lxc.uts.name = %[1]s
lxc.mount.auto = proc:mixed sys:ro
%[2]s
lxc.net.0.name = eth0
lxc.net.0.flags = up
lxc.net.0.ipv4.address = %[3]s/24
lxc.apparmor.profile = unconfined
END
		lxc-start -P /run/lxc -n %[1]s -d -o /run/%[1]s.log -l INFO -- /bin/sleep %[4]s || { cat /run/%[1]s.log; exit 1; }`, name, net, addr, long))
	DeferCleanup(func() { sh(host, `lxc-stop -P /run/lxc -k -n `+name) })
	var pid int
	Eventually(func() int {
		commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
		Expect(err).NotTo(HaveOccurred())
		for _, file := range commands {
			if text, err := os.ReadFile(file); err == nil && string(text) == "/bin/sleep\x00"+long+"\x00" {
				pid, err = strconv.Atoi(filepath.Base(filepath.Dir(file)))
				Expect(err).NotTo(HaveOccurred())
			}
		}
		return pid
	}, comes).ShouldNot(BeZero(), "the container's process")
	return harness.Existing{Name: name, PID: pid}
}

var _ = Describe("containers of LXC", func() {
	It("are attached as one lab: on a bridge, with a macvlan, and with an interface of the host's", func(ctx SpecContext) {
		host := lxcHost()
		sh(host, `
			ip link add lxcbr0 type bridge; ip addr add 10.0.3.1/24 dev lxcbr0; ip link set lxcbr0 up
			ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up
			ip link add phys0 type veth peer name phys1; ip addr add 10.0.5.1/24 dev phys0; ip link set phys0 up`)
		const bridged, over, moved = "lxc.net.0.type = veth\nlxc.net.0.link = lxcbr0", "lxc.net.0.type = macvlan\nlxc.net.0.macvlan.mode = bridge\nlxc.net.0.link = up0",
			"lxc.net.0.type = phys\nlxc.net.0.link = phys1"
		lab := harness.AttachLab(GinkgoTB(), "containers",
			container(host, "web", "10.0.3.11", bridged), container(host, "db", "10.0.3.12", bridged),
			container(host, "mac1", "10.0.4.11", over), container(host, "mac2", "10.0.4.12", over),
			container(host, "nic", "10.0.5.11", moved),
			harness.Existing{Name: "host", Path: host.Path(), Traced: true})
		web, db := lab.Node("web"), lab.Node("db")
		probes.Serve(GinkgoTB(), db, ssh)
		Expect(connects(web, db.Addr(), 22, comes)).To(BeTrue())
		Expect(web).To(probes.Reach(db, icmp, ssh).WithContext(ctx))
		Expect(lab.Node("mac1")).To(probes.Reach(lab.Node("mac2"), icmp).WithContext(ctx))
		Expect(lab.Node("nic")).To(probes.Reach(lab.Node("host").On("phys0"), icmp).WithContext(ctx))

		Expect(host.Nft(`table bridge lxc { chain forward { type filter hook forward priority 0; tcp dport 22 drop comment "no ssh"; }; }`)).To(Succeed())
		Expect(connects(web, db.Addr(), 22, stays)).To(BeFalse())
		Expect(web).To(probes.BeIsolatedFrom(db, ssh).At("host").By("no ssh").WithContext(ctx))
	})
})
