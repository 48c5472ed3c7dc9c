package firewalls_test

import (
	"net/netip"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var (
	ssh  = probes.TCP(22).Within(soon)
	mail = probes.TCP(25).Within(soon)
)

// seen is the address that a node's connection comes from, in the other's eyes: told
// by plain sockets.
func seen(ctx SpecContext, from, at *harness.Node, addr netip.Addr) netip.Addr {
	GinkgoHelper()
	listener, err := at.Listen(ctx, "tcp", netip.AddrPortFrom(addr, 8080))
	Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	asker, err := from.Dial(ctx, "tcp", netip.AddrPortFrom(addr, 8080))
	Expect(err).NotTo(HaveOccurred())
	defer asker.Close()
	conn, err := listener.Accept()
	Expect(err).NotTo(HaveOccurred())
	defer conn.Close()
	return netip.MustParseAddrPort(conn.RemoteAddr().String()).Addr()
}

var _ = Describe("the firewall", func() {
	up := func(g *generator) office {
		o := newOffice(GinkgoTB(), g.ruleset())
		probes.Serve(GinkgoTB(), o.fw, ssh)
		probes.Serve(GinkgoTB(), o.site, mail, web)
		return o
	}

	DescribeTable("lets through what was asked of it", each(func(ctx SpecContext, g *generator) {
		o := up(g)
		Expect(o.pc).To(probes.Reach(o.fw, ssh).WithContext(ctx))
		Expect(o.pc).To(probes.Reach(o.site, web).WithContext(ctx))
		fw, site, pc := o.fw.Addrs(), o.site.Addrs(), o.pc.Addrs() // port by port, IPv4 first
		Expect(seen(ctx, o.pc, o.site, site[0])).To(Equal(fw[2]), "the lan is hidden")
		Expect(seen(ctx, o.pc, o.site, site[1])).To(Equal(pc[1]), "in IPv6 it is not")
	})...)

	DescribeTable("stops what was asked of it", each(func(ctx SpecContext, g *generator) {
		o := up(g)
		Expect(o.site).To(probes.BeIsolatedFrom(o.fw, ssh).At("fw").WithContext(ctx))
		Expect(o.pc).To(probes.BeRejectedBy("fw", o.site, mail).WithContext(ctx))
		Expect(o.cafe).To(probes.Reach(o.site, mail).WithContext(ctx))
	})...)
})
