package attached_test

import (
	"os"
	"os/exec"
	"syscall"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// insideVar says that these specs' own namespace is a new one, and may have links.
const insideVar = "NSTEST_ATTACHED_INSIDE"

const (
	machines = "a machine whose bridge containers are on"
	findsIt  = "is found to join them, as docker0 does"
)

var _ = Describe(machines, func() {
	It(findsIt, func() {
		harness.Require(GinkgoTB(), owned)
		if os.Getenv(insideVar) == "" {
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestSuite$", "-test.count=1", "-ginkgo.no-color", "-ginkgo.focus="+findsIt)
			cmd.Env = append(os.Environ(), insideVar+"=1", "NSTEST_SHARD=")
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
			out, err := cmd.CombinedOutput()
			Expect(err).NotTo(HaveOccurred(), "%s", out)
			Expect(string(out)).To(ContainSubstring("1 Passed"))
			return
		}
		machine := &somebodys{name: "machine", Cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}
		machine.Node = harness.Attach(GinkgoTB(), "machine", "/proc/self/ns/net")
		machine.up("lo")
		a, b, c := somebody("a"), somebody("b"), somebody("c")
		for name, of := range map[string]*somebodys{"va": a, "vb": b, "vc": c} {
			cable(machine, name, of, "eth0")
		}
		machine.bridge("docker0", "va", "vb")
		machine.bridge("docker1", "vc")
		machine.address("docker0", "172.17.0.1/16")
		a.address("eth0", "172.17.0.2/16")
		b.address("eth0", "172.17.0.3/16")
		c.address("eth0", "172.18.0.2/16")
		a.gateway("172.17.0.1")

		lab := attach([]*somebodys{a, b, c})
		Expect(segments(lab)).To(ConsistOf("docker0: a/eth0 b/eth0", "docker1: c/eth0"))
		Expect(lab.Node("a")).To(probes.Reach(lab.Node("b"), icmp))
		Expect(b.Nft(`table inet f { chain input { type filter hook input priority 0; tcp dport 22 drop comment "not here"; }; }`)).To(Succeed())
		lab.Down()

		lab = attach([]*somebodys{a, b, c}, "b")
		Expect(lab.Node("a")).To(probes.BeIsolatedFrom(lab.Node("b"), ssh).At("b").By("not here"))

		By("a port that is taken off the bridge while the tests run")
		Expect(machine.Netlink().LinkSetNoMaster(machine.link("vb"))).To(Succeed())
		Expect(segments(lab)).To(ContainElement("docker0: a/eth0"))

		By("the machine itself as a node")
		whole := attach([]*somebodys{machine, a, b, c})
		Expect(segments(whole)).To(ContainElement("docker0: machine/docker0 machine/va a/eth0"))
		Expect(whole.Node("a")).To(probes.Reach(whole.Node("machine").On("docker0"), icmp))
		Expect(netlink.LinkByName("docker0")).Error().NotTo(HaveOccurred())
	})
})
