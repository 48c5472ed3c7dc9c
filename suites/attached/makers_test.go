package attached_test

import (
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

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
