package namespaces_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The kernel's own words beside an error number, where it has any.
func init() { nl.EnableErrorMessageReporting = true }

var _ = Describe("what belongs to a network namespace alone", func() {
	DescribeTable("is not given away:", func(name string, bring func(newborn)) {
		from, to := bear("from"), bear("to")
		bring(from)
		Expect(from.links()).To(ContainElement(name))
		err := from.move(name, to)
		Expect(err).To(MatchError(unix.EINVAL))
		AddReportEntry("the kernel says", err.Error())
		// Linux 6.14 and newer say why.
		Expect(err.Error()).To(Or(Equal("invalid argument"), ContainSubstring("netns is immutable")))
		Expect(from.links()).To(ContainElement(name))
		Expect(to.links()).To(ConsistOf("lo"))

		By("moving what may be, as the control")
		from.pair("near", "far")
		Expect(from.move("far", to)).To(Succeed())
		Expect(to.links()).To(ConsistOf("lo", "far"))
	},
		Entry("a loopback", "lo", func(newborn) {}),
		Entry("a bridge", "br", func(n newborn) {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "br"
			Expect(n.Netlink().LinkAdd(&netlink.Bridge{LinkAttrs: attrs})).To(Succeed())
		}),
	)
})
