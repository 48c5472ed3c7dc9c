package vrf_test

import (
	"context"
	"net"
	"net/netip"
	"syscall"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

const service = 8080

// serve has a node accept connections at all its addresses, by a socket that is bound to a
// device, or to none; each gets its address back.
func serve(node *harness.Node, device string) {
	GinkgoHelper()
	var listener net.Listener
	Expect(node.Do(func() (err error) {
		config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
			outer := raw.Control(func(fd uintptr) {
				if device != "" {
					err = unix.BindToDevice(int(fd), device)
				}
			})
			if err == nil {
				err = outer
			}
			return err
		}}
		listener, err = config.Listen(context.Background(), "tcp", "[::]:8080")
		return err
	})).To(Succeed())
	DeferCleanup(listener.Close)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(conn.RemoteAddr().String()))
			_ = conn.Close()
		}
	}()
}

// connects has a plain socket get what the service says; the error is why it does not.
func connects(ctx context.Context, from *harness.Node, to netip.Addr) error {
	GinkgoHelper()
	conn, err := from.Dial(ctx, "tcp", netip.AddrPortFrom(to, service))
	if err != nil {
		return err
	}
	defer conn.Close()
	buf := make([]byte, 64)
	n, err := conn.Read(buf)
	if err == nil && to.Is4() {
		Expect(string(buf[:n])).To(ContainSubstring(from.Addr().String()))
	}
	return err
}

var _ = Describe("a service of the router", func() {
	var lab *harness.Lab
	var r *harness.Node

	BeforeEach(func() {
		lab = declare(false, true).up()
		r = lab.Node("r")
	})

	// reached asks a tenant's own side of the router.
	reached := func(ctx context.Context, tenant string, want bool) {
		GinkgoHelper()
		a, own := lab.Node(tenant+"/a"), r.On(tenant+"/in")
		said := Succeed()
		if !want {
			said = MatchError(unix.ECONNREFUSED)
		}
		for _, addr := range own.Addrs() {
			Expect(connects(ctx, a, addr)).To(said, "%s at %s", tenant, addr)
		}
		if want {
			Expect(a).To(probes.Reach(own, probes.TCP(service).Within(soon)).WithContext(ctx))
			return
		}
		Expect(a).To(probes.BeRefusedBy(own, probes.TCP(service)).WithContext(ctx))
		holds, err := probes.Reach(own, probes.TCP(service)).WithContext(ctx).Match(a)
		Expect(holds).To(BeFalse())
		Expect(err).To(MatchError(ContainSubstring("tcp/8080: refused by ")))
	}

	It("is for the tenant alone in whose VRF it is", func(ctx SpecContext) {
		serve(r, "red")
		reached(ctx, "red", true)
		reached(ctx, "blue", false)
	})

	It("is for no tenant when it is in none, and for all when the router says so", func(ctx SpecContext) {
		serve(r, "")
		reached(ctx, "red", false)
		reached(ctx, "blue", false)
		Expect(connects(ctx, lab.Node("ops"), r.On("mgmt").Addrs()[0])).To(Succeed())
		Expect(r.SetSysctl("net.ipv4.tcp_l3mdev_accept", "1")).To(Succeed())
		reached(ctx, "red", true)
		reached(ctx, "blue", true)
	})
})
