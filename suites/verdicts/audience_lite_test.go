package verdicts_test

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// lightSocket is a plain socket of UDP-Lite at all of a node's addresses, which says nothing: the
// judge is what it reads.
func lightSocket(node *harness.Node, v6 bool, port int) (came func() bool) {
	GinkgoHelper()
	domain, at := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: port})
	if v6 {
		domain, at = unix.AF_INET6, &unix.SockaddrInet6{Port: port}
	}
	var fd int
	Expect(node.Do(func() (err error) {
		if fd, err = unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDPLITE); err != nil {
			return err
		}
		DeferCleanup(unix.Close, fd)
		return unix.Bind(fd, at)
	})).To(Succeed())
	return func() bool {
		_, _, err := unix.Recvfrom(fd, make([]byte, 2048), unix.MSG_DONTWAIT)
		return err == nil
	}
}

var _ = Describe("who hears what is sent to all on a link by UDP-Lite", func() {
	DescribeTable("is told, and of the others why not", func(ctx SpecContext, to string) {
		harness.Require(GinkgoTB(), harness.UDPLite)
		s := neighbours(input(`meta l4proto udplite drop comment "nothing light"; udp dport 7 accept`))
		group := netip.MustParseAddr(to)
		came := map[string]func() bool{}
		for _, name := range []string{"peer", "third", "guarded"} {
			came[name] = lightSocket(s.node(name), group.Is6(), 7)
			if group.IsMulticast() && name != "guarded" {
				join(s.node(name), group)
			}
		}
		hears := func(port uint16) probes.Audience {
			GinkgoHelper()
			heard, err := probes.WhoHears(ctx, s.node("pc"), "lan", group, probes.UDPLite(port).Within(silence))
			Expect(err).NotTo(HaveOccurred())
			AddReportEntry("heard", heard.String(), ReportEntryVisibilityFailureOrVerbose)
			return heard
		}
		heard := hears(7)
		Expect(heard.Nodes()).To(ConsistOf("third"))
		Expect(heard.Missed).To(ConsistOf(
			And(deaf("peer", "dropped at peer by rule"), HaveField("Rule.Comment", "nothing light"), HaveField("At", "peer")),
			HaveField("Node", "guarded"), // by its policy, or since it is in no group
		))
		Eventually(came["third"]).WithTimeout(5*time.Second).Should(BeTrue(), "the judge")
		for _, name := range []string{"peer", "guarded"} {
			Expect(came[name]()).To(BeFalse(), "the judge")
		}

		By("asking at a port that a socket of UDP has, and none of UDP-Lite")
		other := wildcard(s.node("third"), map[bool]string{false: "udp4", true: "udp6"}[group.Is6()], 9)
		closed := hears(9)
		Expect(closed.Nodes()).To(BeEmpty())
		Expect(closed.Missed).To(ContainElement(deaf("third", "nobody there has port 9")))
		Expect(other.heard()).To(BeEmpty(), "the judge")
	},
		Entry("the subnet", "10.0.1.255"),
		Entry("everybody", "255.255.255.255"),
		Entry("a group of IPv4", "239.1.2.3"),
		Entry("a group of IPv6", "ff02::abcd"),
	)
})
