package verdicts_test

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// stealthy is a proxy on a node that accepts at a port for any address, and asks the one
// that was meant in the asker's name: from its very address and port. It hands on both ways.
func stealthy(node *harness.Node, port uint16) *service {
	GinkgoHelper()
	s := new(service)
	listener := transparent(node, netip.AddrPortFrom(netip.IPv4Unspecified(), port), func(fd int) error { return unix.Listen(fd, 16) })
	file := os.NewFile(uintptr(listener), "listener")
	accepting, err := net.FileListener(file)
	Expect(err).NotTo(HaveOccurred())
	_ = file.Close()
	var running sync.WaitGroup
	DeferCleanup(running.Wait)
	DeferCleanup(accepting.Close) // first
	running.Go(func() {
		defer GinkgoRecover()
		for {
			conn, err := accepting.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.met++
			s.mu.Unlock()
			running.Go(func() { inTheNameOf(node, conn) })
		}
	})
	return s
}

func inTheNameOf(node *harness.Node, asker net.Conn) {
	defer GinkgoRecover()
	defer asker.Close()
	client, meant := asker.RemoteAddr().(*net.TCPAddr).AddrPort(), asker.LocalAddr().(*net.TCPAddr).AddrPort()
	if slices.Contains(node.Addrs(), meant.Addr().Unmap()) {
		return // it is the proxy itself that is meant
	}
	to := unix.SockaddrInet4{Port: int(meant.Port()), Addr: meant.Addr().Unmap().As4()}
	var ended error
	fd := transparent(node, client, func(fd int) error {
		ended = unix.Connect(fd, &to)
		return nil
	})
	file := os.NewFile(uintptr(fd), "onward")
	if ended != nil { // the service, with the spec: who has not been answered sees it
		_ = file.Close()
		return
	}
	onward, err := net.FileConn(file)
	_ = file.Close()
	if err != nil { // the asker has hung up
		return
	}
	defer onward.Close()
	go func() {
		defer asker.Close()
		copied(asker, onward)
	}()
	copied(onward, asker)
}

func copied(to, from net.Conn) {
	buf := make([]byte, 2048)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// transparent is a TCP socket of a node that has any address (IP_TRANSPARENT, ip(7)).
func transparent(node *harness.Node, addr netip.AddrPort, use func(fd int) error) (fd int) {
	GinkgoHelper()
	Expect(node.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		for _, option := range [][2]int{{unix.SOL_SOCKET, unix.SO_REUSEADDR}, {unix.SOL_IP, unix.IP_TRANSPARENT}} {
			if err := unix.SetsockoptInt(fd, option[0], option[1], 1); err != nil {
				return err
			}
		}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 1}); err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().Unmap().As4()}); err != nil {
			return err
		}
		return use(fd)
	})).To(Succeed())
	return fd
}

// takes has a node take for its own what its rules mark, and what comes back from a port.
func takes(node *harness.Node, change func(*netlink.Rule)) {
	GinkgoHelper()
	const table = 100
	lo, err := node.Netlink().LinkByName("lo")
	Expect(err).NotTo(HaveOccurred())
	local := &netlink.Route{Table: table, Dst: mustCIDR("0.0.0.0/0"), LinkIndex: lo.Attrs().Index, Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST}
	Expect(node.Netlink().RouteAdd(local)).To(Succeed())
	back := func(r *netlink.Rule) {
		r.IifName, r.IPProto, r.Sport = "wan", unix.IPPROTO_TCP, netlink.NewRulePortRange(80, 80)
	}
	for i, how := range []func(*netlink.Rule){change, back} {
		rule := netlink.NewRule()
		rule.Priority, rule.Table, rule.Family = 100+i, table, unix.AF_INET
		how(rule)
		Expect(node.Netlink().RuleAdd(rule)).To(Succeed())
	}
}

var _ = Describe("a proxy that asks in the asker's name", func() {
	marked := func(r *netlink.Rule) { r.Mark = 1 }
	asked := func(r *netlink.Rule) {
		r.IifName, r.IPProto, r.Dport = "lan", unix.IPPROTO_TCP, netlink.NewRulePortRange(80, 80)
	}
	DescribeTable("is not the site, though the site has a connection of those very ends", func(ctx SpecContext, rules string, port int, taken func(*netlink.Rule)) {
		s := ruled(rules)
		takes(s.node("fw"), taken)
		proxy := stealthy(s.node("fw"), uint16(port))
		web80 := streams(s.node("site"), 80, true)

		conn, err := s.node("pc").Dial(ctx, "tcp", netip.AddrPortFrom(site4, 80)) // the judge: who accepted
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(conn.Close)
		Eventually(web80.accepted).Should(Equal(1))
		Expect(proxy.accepted()).To(Equal(1))

		unreached(ctx, s, web)
		result, err := probes.Watch(ctx, s.node("pc"), s.node("site"), web)
		Expect(err).NotTo(HaveOccurred())
		Expect(result.By).NotTo(Equal("site"), "%s\n%s", result, result.Timeline)
	},
		Entry("tproxy", `table ip m { chain pre { type filter hook prerouting priority -150; iifname "lan" tcp dport 80 tproxy to :3128 meta mark set 1 accept; }; }`, 3128, marked),
		Entry("a route that makes all addresses its own", `table ip m { }`, 80, asked),
	)

	It("hands on to the site, which signs", func(ctx SpecContext) {
		s := ruled(`table ip m { }`)
		takes(s.node("fw"), asked)
		stealthy(s.node("fw"), 80)
		probes.Serve(GinkgoTB(), s.node("site"), web)
		Expect(s.node("pc")).To(probes.Reach(s.node("site"), web).WithContext(ctx))
		result, err := probes.Watch(ctx, s.node("pc"), s.node("site"), web)
		Expect(err).NotTo(HaveOccurred())
		Expect(result).To(And(HaveField("By", "site"), HaveField("Proven", true)))
	})
})
