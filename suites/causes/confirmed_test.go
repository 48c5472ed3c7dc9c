package causes_test

import (
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// many are probes at ports of their own.
func many() (asked []probes.Probe) {
	const ports = 100
	for port := range uint16(ports) {
		asked = append(asked, probes.UDP(1000+port).Within(soon))
	}
	return asked
}

var _ = Describe("the ends of many probes that only the state tells of", func() {
	DescribeTable("are confirmed together", func(ctx SpecContext, at string, kind evidence.Kind, broken func(office)) {
		o := up()
		broken(o)
		matrix, err := probes.Grid{From: []*harness.Node{o.client}, To: []probes.Target{o.server}, Probes: many(), Watch: true}.Survey(ctx)
		Expect(err).NotTo(HaveOccurred())
		results := matrix.Results("client", "server")
		Expect(results).To(HaveLen(2 * len(many())))
		Expect(results).To(HaveEach(HaveField("Cause", HaveValue(And(HaveField("Kind", kind), HaveField("Node", at))))))
		Expect(results).To(HaveEach(HaveField("RTT", BeNumerically("<", soon))))
	},
		Entry("blackholes", "fw", evidence.Blackhole, func(o office) {
			for _, to := range []string{server4.String() + "/32", server6.String() + "/128"} {
				Expect(o.fw.Netlink().RouteAdd(&netlink.Route{Dst: prefix(to), Type: unix.RTN_BLACKHOLE})).To(Succeed())
			}
		}),
		Entry("no forwarding", "fw", evidence.NoForward, func(o office) {
			for _, key := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
				Expect(o.fw.SetSysctl(key, "0")).To(Succeed())
			}
		}),
	)
})
