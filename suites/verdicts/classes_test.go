package verdicts_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

var _ = Describe("a DSCP that the test chose", func() {
	It("leaves ECN to any program", func(ctx SpecContext) {
		s := ruled(drop(`ip dscp 10 ip ecn not-ect drop comment "not ect"`))
		heard := datagrams(s.node("site"), 7, 0)
		const dscp10WithECT = 41
		sending{to: netip.AddrPortFrom(site4, 7), before: func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, dscp10WithECT) }}.send(s.node("pc"))
		Eventually(func() []string { return plain(heard) }).WithTimeout(5*time.Second).ShouldNot(BeEmpty(), "the judge")
		notIsolated(ctx, s.node("pc"), s.node("site"), echo.DSCP(10), "the traffic class")
	})

	It("isolates where a rule asks for it alone", func(ctx SpecContext) {
		s := ruled(drop(`ip dscp 10 drop comment "dscp"`))
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), echo.DSCP(10)).By("dscp").WithContext(ctx))
	})
})
