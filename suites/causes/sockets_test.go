package causes_test

import (
	"context"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// listen makes a listener that accepts nobody, with room for one connection.
func listen(node *harness.Node, port int) (fd int) {
	GinkgoHelper()
	Expect(node.Do(func() error {
		var err error
		if fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrInet6{Port: port}); err != nil {
			return err
		}
		return unix.Listen(fd, 0)
	})).To(Succeed())
	return fd
}

var _ = Describe("a socket", func() {
	It("that nobody has refuses, and does not isolate", func(ctx SpecContext) {
		o := up()
		closed := []probes.Probe{probes.TCP(81), probes.UDP(54)}
		for _, r := range broken(ctx, o.client, o.server, "server", evidence.NoListener, closed...) {
			Expect(r).To(HaveField("Outcome", probes.Refused))
			Expect(r).To(probes.BeRefusedBy(o.server))
			noVerdict(probes.BeRejectedBy("fw", o.server), r, "was refused at server")
		}

		By("serving it, as the control")
		probes.Serve(GinkgoTB(), o.server, closed...)
		o.reaches(ctx, closed...)
	})

	It("that somebody has at another address is named, and does not isolate", func(ctx SpecContext) {
		o := up()
		local, err := o.server.Listen(ctx, "tcp", netip.MustParseAddrPort("127.0.0.1:81"))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _ = local.Close() })
		for _, r := range broken(ctx, o.client, server4, "server", evidence.NoListener, probes.TCP(81)) {
			Expect(r.Cause.Detail).To(Equal("port 81 listens at 127.0.0.1 only"))
		}
		Expect(o.client).To(probes.BeRefusedBy(o.server, probes.TCP(81)).WithContext(ctx))

		By("serving it at every address, as the control")
		Expect(local.Close()).To(Succeed())
		probes.Serve(GinkgoTB(), o.server, probes.TCP(81))
		o.reaches(ctx, probes.TCP(81))
	})

	It("whose queue is full is named", func(ctx SpecContext) {
		o := up()
		fd := listen(o.server, 81)
		DeferCleanup(func() { Expect(unix.Close(fd)).To(Succeed()) })
		dial(ctx, o.client, "tcp", server4, 81)
		results := waits(ctx, o.client, o.server, "server", evidence.Backlog, probes.TCP(81))
		Expect(results).To(HaveEach(HaveField("Outcome", probes.Silent)))

		By("accepting, as the control")
		conn, _, err := unix.Accept(fd)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(unix.Close(conn)).To(Succeed()) })
		Expect(o.client).To(probes.Reach(server4, patient(probes.TCP(81))...).WithContext(ctx))
	})

	It("that nobody has is named also when the server is tired of saying so", func(ctx SpecContext) {
		o := up()
		limit := func(milliseconds, mask4, mask6 string) {
			Expect(o.server.SetSysctl("net.ipv4.icmp_ratelimit", milliseconds)).To(Succeed())
			Expect(o.server.SetSysctl("net.ipv4.icmp_ratemask", mask4)).To(Succeed())
			Expect(o.server.SetSysctl("net.ipv6.icmp.ratelimit", milliseconds)).To(Succeed())
			Expect(o.server.SetSysctl("net.ipv6.icmp.ratemask", mask6)).To(Succeed())
		}
		limit("60000", "6168", "0-1,3-127") // the kernel's defaults, but for the time
		tired := func(to netip.Addr) func(context.Context) (probes.Outcome, error) {
			return func(ctx context.Context) (probes.Outcome, error) {
				r, err := probes.Ask(ctx, o.client, to, probes.UDP(54).Within(20*time.Millisecond))
				return r.Outcome, err
			}
		}
		for _, to := range []netip.Addr{server4, server6} {
			Eventually(tired(to)).WithContext(ctx).WithPolling(time.Millisecond).Should(Equal(probes.Silent))
		}
		for _, r := range broken(ctx, o.client, o.server, "server", evidence.NoListener, probes.UDP(54)) {
			Expect(r).To(HaveField("Outcome", probes.Silent))
			noVerdict(probes.BeRefusedBy(o.server), r, "nobody has port 54")
		}

		By("lifting the limit, and then serving it, as the control")
		limit("0", "0", "\n")
		Expect(o.client).To(probes.BeRefusedBy(o.server, probes.UDP(54)).WithContext(ctx))
		probes.Serve(GinkgoTB(), o.server, probes.UDP(54))
		o.reaches(ctx, probes.UDP(54))
	})

	It("of the kernel's that ignores echo requests is named", func(ctx SpecContext) {
		o := up()
		ignore := func(yes string) {
			Expect(o.server.SetSysctl("net.ipv4.icmp_echo_ignore_all", yes)).To(Succeed())
			Expect(o.server.SetSysctl("net.ipv6.icmp.echo_ignore_all", yes)).To(Succeed())
		}
		ignore("1")
		broken(ctx, o.client, o.server, "server", evidence.Ignored, icmp)
		Expect(o.client).To(probes.Reach(o.server, patient(web, dns)...).WithContext(ctx))

		By("minding them, as the control")
		ignore("0")
		o.reaches(ctx, icmp)
	})
})
