package attached_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// patience is for what takes a moment, on a busy machine too.
const patience = 20 * time.Second

// sandboxes are what an ordinary user puts programs in, each with a user namespace of its own
// besides the network's: who started them has power over both. Each command runs cat in one.
var sandboxes = map[string]func() *exec.Cmd{
	"bubblewrap": func() *exec.Cmd { return bubblewrap("--unshare-user") },
	"unshare": func() *exec.Cmd {
		harness.Require(GinkgoTB(), harness.Tool("unshare"))
		return exec.Command("unshare", "--user", "--map-root-user", "--net", "sh", "-c", `echo "{\"child-pid\": $$}" >&3; exec 3>&-; exec cat`)
	},
}

// inSandbox starts a program that only waits in a sandbox, and attaches it for its maker.
func inSandbox(kind, name string) *somebodys {
	GinkgoHelper()
	cmd := sandboxes[kind]()
	output, err := cmd.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	pid, input := inform(cmd)
	// The number is told before the sandbox is whole: bubblewrap fails where lo is up already.
	_, err = io.WriteString(input, "ready\n")
	Expect(err).NotTo(HaveOccurred())
	Expect(bufio.NewReader(output).ReadString('\n')).To(Equal("ready\n"))
	s := &somebodys{name: name, Cmd: &exec.Cmd{Process: &os.Process{Pid: pid}}}
	s.Node = harness.Attach(GinkgoTB(), name, s.path())
	s.up("lo")
	return s
}

var _ = DescribeTable("sandboxes with users of their own are a lab", func(ctx SpecContext, kind string) {
	harness.Require(GinkgoTB(), harness.NftTool, owned)
	agent, build, gw := inSandbox(kind, "agent"), inSandbox(kind, "build"), somebody("gw")
	cable(agent, "eth0", gw, "a")
	cable(build, "eth0", gw, "b")
	agent.address("eth0", "10.0.1.1/24")
	build.address("eth0", "10.0.2.1/24")
	gw.address("a", "10.0.1.254/24")
	gw.address("b", "10.0.2.254/24")
	gw.forward()
	agent.gateway("10.0.1.254")
	build.gateway("10.0.2.254")
	Expect(gw.Nft(noSSH)).To(Succeed())
	Expect(build.Nft(`table inet own { chain in { type filter hook input priority 0; tcp dport 25 drop comment "no mail"; }; }`)).To(Succeed())

	lab := attach([]*somebodys{agent, build, gw}, "gw", "build")
	slowly := []probes.Probe{web.Within(patience), echo.Within(patience)} // where the machine is busy
	Expect(segments(lab)).To(ConsistOf(Or(Equal("agent:eth0: agent/eth0 gw/a"), Equal("gw:a: agent/eth0 gw/a")), Or(Equal("build:eth0: build/eth0 gw/b"), Equal("gw:b: build/eth0 gw/b"))))
	probes.Serve(GinkgoTB(), lab.Node("build"), web, ssh, echo)
	Expect(lab.Node("agent")).To(probes.Reach(lab.Node("build"), slowly...))
	Expect(lab.Node("agent")).To(probes.BeIsolatedFrom(lab.Node("build"), ssh).At("gw").By("no ssh"))
	Expect(lab.Node("agent")).To(probes.BeIsolatedFrom(lab.Node("build"), probes.TCP(25)).At("build").By("no mail"))
	probes.Serve(GinkgoTB(), lab.Node("agent"), web)
	Expect(lab.Node("build")).To(probes.Reach(lab.Node("agent"), slowly[0]))
	ok, err := probes.BeIsolatedFrom(lab.Node("build"), web).WithContext(ctx).Match(lab.Node("agent"))
	Expect(ok).To(BeFalse(), "what is open isolates: %v", err)

	By("what a command in there sees")
	out, err := lab.Node("agent").Command("sh", "-c", "cat /sys/class/net/eth0/address; ip -4 -o addr show dev eth0").CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	Expect(string(out)).To(ContainSubstring("10.0.1.1/24"))
},
	Entry("of bubblewrap", "bubblewrap"),
	Entry("of unshare", "unshare"),
)
