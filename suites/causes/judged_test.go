package causes_test

import (
	"os"
	"strconv"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernelCounts are what a node's kernel counts, as its files have it: "Ip.InReceives",
// "dmz.rx_packets". It is a judge, and reads them by itself.
func kernelCounts(node *harness.Node) map[string]int {
	GinkgoHelper()
	counts := map[string]int{}
	note := func(name, value string) {
		if n, err := strconv.Atoi(value); err == nil {
			counts[name] = n
		}
	}
	var tables, devices string
	Expect(node.Do(func() error {
		for _, file := range []string{"snmp", "netstat"} {
			text, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil {
				return err
			}
			tables += string(text)
		}
		text, err := os.ReadFile("/proc/thread-self/net/dev")
		devices = string(text)
		return err
	})).To(Succeed())
	lines := strings.Split(tables, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for j := 1; j < len(names); j++ {
			note(strings.TrimSuffix(names[0], ":")+"."+names[j], values[j])
		}
	}
	for _, line := range strings.Split(devices, "\n") {
		if name, rest, is := strings.Cut(line, ":"); is {
			note(strings.TrimSpace(name)+".rx_packets", strings.Fields(rest)[1])
		}
	}
	return counts
}

// named is the node of an office.
func (o office) named(name string) *harness.Node {
	return map[string]*harness.Node{"client": o.client, "fw": o.fw, "server": o.server}[name]
}

// countOf is one of the counts: "fw Ip.InReceives".
func (o office) countOf(where string) int {
	GinkgoHelper()
	node, name, _ := strings.Cut(where, " ")
	counts := kernelCounts(o.named(node))
	Expect(counts).To(HaveKey(name), "a count that the kernel has")
	return counts[name]
}

var _ = Describe("a cause of each kind that no count of a socket or a rule tells", func() {
	DescribeTable("is so by the kernel's own counts", func(ctx SpecContext, kind evidence.Kind, at string, change func(office), moves, stays string) {
		o := warm(ctx)
		change(o)
		moved, stayed := o.countOf(moves), o.countOf(stays)
		results := watch(ctx, o.client, server4, icmp.Within(silence), dns.Within(silence))
		for _, r := range results {
			Expect(r.Cause).To(HaveValue(And(HaveField("Kind", kind), HaveField("Node", at))), "%s", causeOf(r))
		}
		Expect(o.countOf(moves)).To(BeNumerically(">=", moved+len(results)), "the judge: %s moves", moves)
		Expect(o.countOf(stays)).To(Equal(stayed), "the judge: %s does not", stays)
	},
		Entry("a rule that rejects", evidence.Reject, "fw", func(o office) {
			harness.Require(GinkgoTB(), harness.NftTool)
			Expect(o.fw.Nft(`table inet f { chain c { type filter hook forward priority 0; ip daddr 10.0.2.1 reject; }; }`)).To(Succeed())
		}, "fw Icmp.OutDestUnreachs", "server Ip.InReceives"),
		Entry("a blackhole", evidence.Blackhole, "fw", func(o office) { addRoutes(o.fw, unix.RTN_BLACKHOLE, server4) }, "fw Ip.InReceives", "fw Ip.ForwDatagrams"),
		Entry("an unreachable route", evidence.Unreachable, "fw", func(o office) { addRoutes(o.fw, unix.RTN_UNREACHABLE, server4) }, "fw Icmp.OutDestUnreachs", "server Ip.InReceives"),
		Entry("a prohibit route", evidence.Prohibit, "fw", func(o office) { addRoutes(o.fw, unix.RTN_PROHIBIT, server4) }, "fw Icmp.OutDestUnreachs", "server Ip.InReceives"),
		Entry("no forwarding", evidence.NoForward, "fw", func(o office) { Expect(o.fw.SetSysctl("net.ipv4.ip_forward", "0")).To(Succeed()) }, "fw Ip.InAddrErrors", "server Ip.InReceives"),
		Entry("no route", evidence.NoRoute, "fw", func(o office) { takeRoutes(o.fw, dmz4.String()) }, "fw IpExt.InNoRoutes", "server Ip.InReceives"),
		Entry("a route that leads back", evidence.Loop, "fw", func(o office) {
			takeRoutes(o.fw, dmz4.String())
			Expect(o.fw.Netlink().RouteAdd(&netlink.Route{Dst: prefix(dmz4.String()), Gw: client4.AsSlice()})).To(Succeed())
		}, "client Ip.InAddrErrors", "server Ip.InReceives"),
		Entry("an address that is lost", evidence.NoAddress, "server", func(o office) {
			o.settle()
			take(o.server, "dmz", "10.0.2.1/24")
		}, "server Ip.InReceives", "server Ip.InDelivers"),
		Entry("another MAC", evidence.WrongMAC, "server", func(o office) { remember(o.fw, "dmz", nobodysMAC, server4) }, "server dmz.rx_packets", "server Ip.InDelivers"),
		Entry("a filter of sources", evidence.RPFilter, "fw", func(o office) {
			takeRoutes(o.fw, lan4.String())
			Expect(o.fw.SetSysctl("net.ipv4.conf.all.rp_filter", "2")).To(Succeed())
		}, "fw TcpExt.IPReversePathFilter", "server Ip.InReceives"),
	)
})
