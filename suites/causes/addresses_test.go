package causes_test

import (
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// give gives a node an address that is settled. The kernel listens to questions for
// it, and takes packets to it, some time after it said that it is there.
func give(node *harness.Node, name, address string) {
	GinkgoHelper()
	add(node, name, address, unix.IFA_F_NODAD)
	Eventually(func() (int, error) {
		routes, err := node.Netlink().RouteGet(prefix(address).IP)
		if err != nil {
			return 0, err
		}
		return routes[0].Type, nil
	}, "10s").Should(Equal(unix.RTN_LOCAL))
}

func add(node *harness.Node, name, address string, flags int) {
	GinkgoHelper()
	addr, err := netlink.ParseAddr(address)
	Expect(err).NotTo(HaveOccurred())
	addr.Flags = flags
	Expect(node.Netlink().AddrAdd(link(node, name), addr)).To(Succeed())
}

// take takes an address from a node.
func take(node *harness.Node, name, address string) {
	GinkgoHelper()
	addr, err := netlink.ParseAddr(address)
	Expect(err).NotTo(HaveOccurred())
	Expect(node.Netlink().AddrDel(link(node, name), addr)).To(Succeed())
}

// unsettle gives a node its IPv6 address again, with duplicate address detection
// that lasts longer than any test.
func unsettle(node *harness.Node, name, address string) (settle func()) {
	GinkgoHelper()
	kept := routesOf(node)
	Expect(node.SetSysctl("net.ipv6.conf."+name+".accept_dad", "1")).To(Succeed())
	Expect(node.SetSysctl("net.ipv6.conf."+name+".dad_transmits", "600")).To(Succeed())
	take(node, name, address)
	add(node, name, address, 0)
	giveRoutes(node, kept)
	return func() {
		GinkgoHelper()
		take(node, name, address)
		give(node, name, address)
		giveRoutes(node, kept)
	}
}

var _ = Describe("an address", func() {
	It("of the server's that is not settled is named", func(ctx SpecContext) {
		o := up()
		settle := unsettle(o.server, "dmz", "fd00:2::1/64")
		results := broken(ctx, o.client, server6, "server", evidence.Tentative, all...)
		Expect(results).To(HaveEach(And(HaveField("Cause.Interface", "dmz"), HaveField("Cause.Leg", evidence.Request))))
		own, err := o.server.Netlink().AddrList(link(o.server, "dmz"), netlink.FAMILY_V6)
		Expect(err).NotTo(HaveOccurred())
		Expect(own).To(ContainElement(Satisfy(func(a netlink.Addr) bool {
			return a.IP.Equal(server6.AsSlice()) && a.Flags&unix.IFA_F_TENTATIVE != 0
		})), "the judge: the kernel's own flag")
		Expect(o.client).To(probes.Reach(server4, patient(all...)...).WithContext(ctx), "IPv4 knows of no such state")

		By("settling it, as the control")
		settle()
		forget(o.fw, "dmz", server6)
		o.reaches(ctx, all...)
	})

	It("of the client's that is not settled is named", func(ctx SpecContext) {
		o := up()
		settle := unsettle(o.client, "lan", "fd00:1::1/64")
		broken(ctx, o.client, server6, "client", evidence.Tentative, all...)
		Expect(o.client).To(probes.Reach(server4, patient(all...)...).WithContext(ctx), "IPv4 knows of no such state")

		By("settling it, as the control")
		settle()
		o.reaches(ctx, all...)
	})

	It("that fw has lost, and with it a route, is named and does not isolate", func(ctx SpecContext) {
		o := up()
		kept := routesOf(o.fw)
		lost := []string{"10.0.2.2/24", "fd00:2::2/64"}
		for _, address := range lost {
			take(o.fw, "dmz", address)
		}
		results := broken(ctx, o.client, o.server, "fw", evidence.NoAddress, all...)
		Expect(results).To(HaveEach(HaveField("Cause.Interface", "dmz")))

		By("giving it back, as the control")
		for _, address := range lost {
			give(o.fw, "dmz", address)
		}
		giveRoutes(o.fw, kept)
		o.reaches(ctx, all...)
	})

	It("that fw has lost is named also where a route for the rest drops what was meant for it", func(ctx SpecContext) {
		o := up()
		kept := routesOf(o.fw)
		for _, rest := range []string{"0.0.0.0/0", "::/0"} {
			Expect(o.fw.Netlink().RouteAdd(&netlink.Route{Dst: prefix(rest), Type: unix.RTN_BLACKHOLE})).To(Succeed())
		}
		o.reaches(ctx, all...)
		lost := []string{"10.0.2.2/24", "fd00:2::2/64"}
		for _, address := range lost {
			take(o.fw, "dmz", address)
		}
		broken(ctx, o.client, o.server, "fw", evidence.NoAddress, all...)

		By("giving it back, and taking the route for good, as the control")
		for _, address := range lost {
			give(o.fw, "dmz", address)
		}
		giveRoutes(o.fw, kept)
		o.reaches(ctx, all...)
		addRoutes(o.fw, unix.RTN_BLACKHOLE, server4)
		isolated(ctx, o.client, server4, "fw", evidence.Blackhole, "", all...)
	})

	// fw knows its MAC, and hands on what the server then does not take for its own.
	It("that the server has lost after others came to know it is no policy of its forwarding", func(ctx SpecContext) {
		o := warm(ctx)
		for _, address := range []string{"10.0.2.1/24", "fd00:2::1/64"} {
			take(o.server, "dmz", address)
		}
		broken(ctx, o.client, o.server, "server", evidence.NoAddress, all...)
	})

	It("that the server has lost ends a probe also when its kernel has sent it once more by then", func(ctx SpecContext) {
		o := warm(ctx)
		take(o.server, "dmz", "10.0.2.1/24")
		var others sync.WaitGroup
		until := time.Now().Add(1500 * time.Millisecond) // a connection is asked for again after a second
		for range 4 {
			others.Go(func() { // what else is under way keeps it from being shown
				defer GinkgoRecover()
				for time.Now().Before(until) {
					Expect(probes.Watch(ctx, o.client, gateways[0], icmp)).To(HaveField("Outcome", probes.Answered))
				}
			})
		}
		results := broken(ctx, o.client, server4, "server", evidence.NoAddress, web)
		others.Wait()
		Expect(results[0].String()).To(ContainSubstring("end seen after"))
	})

	It("that the server has lost is named", func(ctx SpecContext) {
		o := up()
		kept := routesOf(o.server)
		lost := []string{"10.0.2.1/24", "fd00:2::1/64"}
		for _, address := range lost {
			take(o.server, "dmz", address)
		}
		broken(ctx, o.client, o.server, "server", evidence.NoAddress, all...)

		By("giving it back, as the control")
		for _, address := range lost {
			give(o.server, "dmz", address)
		}
		giveRoutes(o.server, kept)
		forget(o.fw, "dmz", server4, server6)
		o.reaches(ctx, all...)
	})
})
