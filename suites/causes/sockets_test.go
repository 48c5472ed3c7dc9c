package causes_test

import (
	"context"
	"net/netip"
	"sync"
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

// listenAt makes a listener of TCP, with an option, at an address and port, until end.
func listenAt(node *harness.Node, at netip.AddrPort, option func(fd int) error) (end func()) {
	GinkgoHelper()
	Expect(node.Do(func() error {
		family, addr := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(at.Port())})
		if at.Addr().Is4() {
			addr.(*unix.SockaddrInet4).Addr = at.Addr().As4()
		} else {
			family, addr = unix.AF_INET6, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
		}
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		end = sync.OnceFunc(func() { Expect(unix.Close(fd)).To(Succeed()) })
		DeferCleanup(end)
		if option != nil {
			if err := option(fd); err != nil {
				return err
			}
		}
		if err := unix.Bind(fd, addr); err != nil {
			return err
		}
		return unix.Listen(fd, 9)
	})).To(Succeed())
	return end
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

	DescribeTable("that somebody has elsewhere refuses, and where is told", func(ctx SpecContext, to netip.Addr, where, there string, option func(fd int) error, others ...string) {
		o := up()
		var ends []func()
		for _, at := range append(others, where) {
			ends = append(ends, listenAt(o.server, netip.MustParseAddrPort(at), option))
		}
		for _, r := range broken(ctx, o.client, to, "server", evidence.NoListener, probes.TCP(81)) {
			Expect(r.Cause.Detail).To(Equal("port 81 " + there))
		}

		By("connecting plainly, as the judge")
		_, err := o.client.Dial(ctx, "tcp", netip.AddrPortFrom(to, 81))
		Expect(err).To(MatchError(unix.ECONNREFUSED))
		if option == nil {
			conn, err := o.server.Dial(ctx, "tcp", netip.MustParseAddrPort(where))
			Expect(err).NotTo(HaveOccurred(), "where it listens")
			Expect(conn.Close()).To(Succeed())
		}

		By("listening there, as the control")
		for _, end := range ends {
			end()
		}
		listenAt(o.server, netip.AddrPortFrom(to, 81), nil)
		Expect(o.client).To(probes.Reach(to, patient(probes.TCP(81))...).WithContext(ctx))
	},
		Entry("at ::1", server6, "[::1]:81", "listens at ::1 only", nil),
		Entry("at the address of the other family", server4, "[fd00:2::1]:81", "listens at fd00:2::1 only", nil),
		Entry("at two addresses", server4, "[::1]:81", "listens at 127.0.0.1 and at ::1 only", nil, "127.0.0.1:81"),
		Entry("at a device", server4, "[::]:81", "listens at interface lo only", func(fd int) error { return unix.BindToDevice(fd, "lo") }),
		Entry("for IPv6", server4, "[::]:81", "listens for IPv6 only", option(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)),
	)

	It("that nobody has at the port that a rule makes of another is named", func(ctx SpecContext) {
		harness.Require(GinkgoTB(), harness.NftTool)
		o := ruled(atServer, `table inet n { chain pre { type nat hook prerouting priority -100;
			tcp dport 80 counter redirect to :81; udp dport 53 counter redirect to :54; }; }`)
		for _, r := range broken(ctx, o.client, o.server, "server", evidence.NoListener, web, dns) {
			Expect(r.Cause.Detail).To(Or(Equal("nobody has port 81, to which port 80 was translated"), Equal("nobody has port 54, to which port 53 was translated")))
		}
		Expect(countedBy(o.server)).To(BeNumerically(">=", 4), "the judge: it was redirected")

		lift(o.server)
		o.reaches(ctx, web, dns)
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
		before := kernelCounts(o.server)
		broken(ctx, o.client, o.server, "server", evidence.Ignored, icmp)
		after := kernelCounts(o.server)
		Expect(after["Icmp.InEchos"]).To(BeNumerically(">", before["Icmp.InEchos"]), "the judge: it got some")
		Expect(after["Icmp.OutEchoReps"]).To(Equal(before["Icmp.OutEchoReps"]), "the judge: it answered none")
		Expect(o.client).To(probes.Reach(o.server, patient(web, dns)...).WithContext(ctx))

		By("minding them, as the control")
		ignore("0")
		o.reaches(ctx, icmp)
	})
})
