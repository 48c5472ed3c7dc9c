package attached_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
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
	root, err := harness.PackageRoot("containernetworking-plugins")
	Expect(err).NotTo(HaveOccurred())
	Expect(lab.Node("host").Layer(root)).To(Succeed())
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

// bubblewrap is the command that runs a program that only waits in a sandbox. (With
// --die-with-parent it would end with the thread that started it, and threads of Go end.)
func bubblewrap(more ...string) *exec.Cmd {
	GinkgoHelper()
	harness.Require(GinkgoTB(), harness.Unpacked("bubblewrap"))
	root, err := harness.PackageRoot("bubblewrap")
	Expect(err).NotTo(HaveOccurred())
	args := append(more, "--unshare-net", "--unshare-pid", "--dev-bind", "/", "/", "--info-fd", "3", "cat")
	return exec.Command(filepath.Join(root, "usr/bin/bwrap"), args...)
}

// inform starts a command that tells the number of a process in its sandbox on descriptor 3, as
// bubblewrap does, and runs until its input ends, with the spec.
func inform(cmd *exec.Cmd) (pid int, input io.Writer) {
	GinkgoHelper()
	read, write, err := os.Pipe()
	Expect(err).NotTo(HaveOccurred())
	defer read.Close()
	cmd.ExtraFiles = []*os.File{write}
	cmd.Stderr = GinkgoWriter
	in, err := cmd.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(cmd.Start()).To(Succeed())
	Expect(write.Close()).To(Succeed())
	DeferCleanup(func() {
		Expect(in.Close()).To(Succeed())
		Expect(cmd.Wait()).To(Succeed())
	})
	var info struct {
		Pid int `json:"child-pid"`
	}
	Expect(json.NewDecoder(read).Decode(&info)).To(Succeed())
	return info.Pid, in
}

var _ = Describe("a sandbox of bubblewrap", func() {
	It("is plugged into a lab, whose firewall is its fence", func() {
		network := topo.New("fenced")
		lan, wan := network.Switch("lan", "10.0.1.0/24"), network.Switch("wan", "10.0.9.0/24")
		network.Host("site", wan)
		network.Router("fw", lan, wan).Nft(noSSH)
		lab := harness.Up(GinkgoTB(), network)
		probes.Serve(GinkgoTB(), lab.Node("site"), web, ssh)
		pid, _ := inform(bubblewrap())
		sandbox := lab.Plug(GinkgoTB(), "lan", harness.Existing{Name: "sandbox", PID: pid}, netip.MustParsePrefix("10.0.1.77/24"))
		out, err := sandbox.Command("ip", "route", "add", "default", "via", lab.Node("fw").On("lan").Addrs()[0].String()).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		Expect(sandbox).To(probes.Reach(lab.Node("site"), icmp, web))
		Expect(sandbox).To(probes.BeIsolatedFrom(lab.Node("site"), ssh).At("fw").By("no ssh"))
	})
})
