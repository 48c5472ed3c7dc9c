package causes_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// begins has a node begin a connection from a port of its own.
func begins(node *harness.Node, port int, to netip.AddrPort) {
	GinkgoHelper()
	fd := inNode(node, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0, func(fd int) error {
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port}); err != nil {
			return err
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}); err != unix.EINPROGRESS {
			return err
		}
		return nil
	})
	DeferCleanup(func() { Expect(unix.Close(fd)).To(Succeed()) })
}

var _ = Describe("a listener with half-open connections", func() {
	It("has room for no more where it gives no cookies, and does not isolate", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := up()
		for key, value := range map[string]string{"tcp_syncookies": "0", "tcp_max_syn_backlog": "1", "tcp_no_metrics_save": "1"} { // who is known has room
			Expect(o.server.SetSysctl("net.ipv4."+key, value)).To(Succeed())
		}
		at := netip.AddrPortFrom(server4, 81)
		listenAt(o.server, netip.MustParseAddrPort("0.0.0.0:81"), nil)
		Expect(o.client.Nft(`table ip mute { chain c { type filter hook input priority 0; tcp dport 5000-5009 counter drop; }; }`)).To(Succeed())
		for i := range 4 {
			begins(o.client, 5000+i, at)
		}
		Eventually(countedBy).WithArguments(o.client).WithTimeout(soon).Should(BeNumerically(">=", 2), "the judge: two are half open")
		before := o.countOf("server TcpExt.ListenDrops")
		for _, r := range watch(ctx, o.client, server4, probes.TCP(81).Within(silence)) {
			Expect(r.Outcome).To(Equal(probes.Silent))
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", evidence.Backlog), HaveField("Node", "server"), HaveField("Policy", false))), "%s", causeOf(r))
			Expect(r.Cause.Detail).To(ContainSubstring("net.ipv4.tcp_syncookies"))
			Expect(r).To(probes.BeIsolatedFrom(server4).At("server").Because(evidence.Backlog))
			noVerdict(probes.BeIsolatedFrom(server4), r, "no policy isolates here", `Because("backlog")`)
		}
		Expect(o.countOf("server TcpExt.ListenDrops")).To(BeNumerically(">", before), "the judge: the kernel's own count")

		By("giving cookies, as the control")
		Expect(o.server.SetSysctl("net.ipv4.tcp_syncookies", "1")).To(Succeed())
		Expect(o.client).To(probes.Reach(server4, patient(probes.TCP(81))...).WithContext(ctx))
	})

	It("is asked by cookies alone where that is wanted, and answers", func(ctx SpecContext) {
		o := up()
		Expect(o.server.SetSysctl("net.ipv4.tcp_syncookies", "2")).To(Succeed())
		before := o.countOf("server TcpExt.SyncookiesRecv")
		Expect(o.client).To(probes.Reach(server4, patient(web)...).WithContext(ctx))
		Expect(o.countOf("server TcpExt.SyncookiesRecv")).To(BeNumerically(">", before), "the judge: the kernel's own count")
	})
})
