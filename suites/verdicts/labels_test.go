package verdicts_test

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// labelled is a network where a fork, which may be the asker itself, has two ways to site, over
// IPv6: by the one that is closed, and by another.
func labelled(asker bool, policy, other string) *site {
	GinkgoHelper()
	const closed = `table inet f { chain c { type filter hook forward priority 0; meta l4proto { udp, tcp } drop comment "closed"; icmpv6 type echo-request drop comment "closed"; }; }`
	network := topo.New("labels")
	left, right, wan := network.Switch("left", "fd00:2::/64"), network.Switch("right", "fd00:3::/64"), network.Switch("wan", "fd00:9::/64")
	fork := "fork"
	if asker {
		fork = "pc"
		network.Host("pc", left, right)
	} else {
		lan := network.Switch("lan", "fd00:1::/64")
		network.Host("pc", lan)
		network.Router("fork", lan, left, right)
	}
	network.Router("closed", left.At("fd00:2::9"), wan).Nft(closed)
	network.Router("open", right.At("fd00:3::9"), wan).Nft(other)
	network.Host("site", wan.At("fd00:9::1"))
	s := (&site{network: network}).up()
	if policy != "" {
		Expect(s.node(fork).SetSysctl("net.ipv6.fib_multipath_hash_policy", policy)).To(Succeed())
	}
	spread(s.node(fork), "fd00:9::/64", map[string]string{"left": "fd00:2::9", "right": "fd00:3::9"})
	return s
}

var _ = Describe("a multipath route of IPv6 chooses by the flow label", func() {
	const also = `table inet f { chain c { type filter hook forward priority 0; meta l4proto { udp, tcp } drop comment "closed"; icmpv6 type echo-request drop comment "closed"; }; }`

	DescribeTable("so that one way closed isolates nobody, and both do", func(ctx SpecContext, asker bool, policy string) {
		s := labelled(asker, policy, "")
		heard := datagrams(s.node("site"), 53, -1)
		for range 4 {
			for _, p := range []probes.Probe{probes.UDP(53).Within(silence), icmp.Within(silence), ssh.Within(silence)} {
				notIsolated(ctx, s.node("pc"), s.node("site").On("wan"), p)
			}
		}
		if !asker { // there a program has to choose its label
			Eventually(func() []string {
				says(s.node("pc"), netip.AddrPort{}, netip.MustParseAddrPort("[fd00:9::1]:53"), 1, "plain")
				return heard.heard()
			}, 5*time.Second, time.Millisecond).Should(ContainElement("plain"), "the judge: plain datagrams")
		}

		s = labelled(asker, policy, also)
		heard = datagrams(s.node("site"), 53, -1)
		for _, p := range []probes.Probe{probes.UDP(53).Within(silence), icmp.Within(silence), ssh.Within(silence)} {
			Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site").On("wan"), p).By("closed").WithContext(ctx))
		}
		Expect(heard.heard()).To(BeEmpty())
	},
		Entry("on the way", false, ""),
		Entry("on the way, where what is in tunnels counts", false, "2"),
		Entry("at the asker", true, ""),
	)

	DescribeTable("and one of IPv4 by what the test cannot change", func(ctx SpecContext, policy, fields string) {
		if fields != "" {
			harness.Require(GinkgoTB(), harness.Kernel(5, 13)) // which fields count is to be said since
		}
		network := topo.New("ways")
		lan, left, right, wan := network.Switch("lan", "10.0.1.0/24"), network.Switch("left", "10.0.2.0/24"), network.Switch("right", "10.0.3.0/24"), network.Switch("wan", "10.0.9.0/24")
		network.Host("pc", lan)
		network.Router("fork", lan, left, right)
		network.Router("one", left, wan).Nft(drop(`udp dport 53 drop comment "closed"`))
		network.Router("two", right, wan).Nft(drop(`udp dport 53 drop comment "closed"`))
		network.Host("site", wan.At(site4.String()))
		s := (&site{network: network}).up()
		fork := s.node("fork")
		Expect(fork.SetSysctl("net.ipv4.fib_multipath_hash_policy", policy)).To(Succeed())
		if fields != "" {
			Expect(fork.SetSysctl("net.ipv4.fib_multipath_hash_fields", fields)).To(Succeed())
		}
		spread(fork, "10.0.9.0/24", map[string]string{"left": "10.0.2.2", "right": "10.0.3.2"})
		heard := datagrams(s.node("site"), 53, -1)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(s.node("site"), probes.UDP(53).Within(silence)).By("closed").WithContext(ctx))
		says(s.node("pc"), netip.AddrPort{}, netip.AddrPortFrom(site4, 53), 20, "plain")
		Consistently(heard.heard, 100*time.Millisecond).Should(BeEmpty())
	},
		Entry("addresses, also those in tunnels", "2", ""),
		Entry("the protocol", "3", "4"),
	)
})

// labelRule adds a policy routing rule of IPv6 about the flow label, which iproute2 has no words
// for yet: FRA_FLOWLABEL and its mask, in network order (linux/fib_rules.h).
func labelRule(node *harness.Node, priority, table int, label, mask uint32) {
	GinkgoHelper()
	const flowLabel, flowLabelMask = 26, 27
	Expect(node.Do(func() error {
		request := nl.NewNetlinkRequest(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
		header := nl.NewRtMsg()
		header.Family, header.Table, header.Type = unix.AF_INET6, unix.RT_TABLE_UNSPEC, unix.FR_ACT_TO_TBL
		request.AddData(header)
		request.AddData(nl.NewRtAttr(unix.FRA_PRIORITY, nl.Uint32Attr(uint32(priority))))
		request.AddData(nl.NewRtAttr(unix.FRA_TABLE, nl.Uint32Attr(uint32(table))))
		request.AddData(nl.NewRtAttr(flowLabel, binary.BigEndian.AppendUint32(nil, label)))
		request.AddData(nl.NewRtAttr(flowLabelMask, binary.BigEndian.AppendUint32(nil, mask)))
		_, err := request.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})).To(Succeed())
}

var _ = Describe("a policy routing rule chooses by the flow label", func() {
	DescribeTable("so that the way of the others, closed, isolates nobody", func(ctx SpecContext, asker bool) {
		harness.Require(GinkgoTB(), harness.Kernel(6, 14)) // which has such rules
		s := labelled(asker, "", "")
		fork := s.node("pc")
		if !asker {
			fork = s.node("fork")
		}
		Expect(fork.DelRoute(netip.MustParsePrefix("fd00:9::/64"))).To(Succeed()) // the multipath route
		Expect(fork.AddRoute(topo.Route{To: "fd00:9::/64", Via: "fd00:2::9"})).To(Succeed())
		Expect(fork.AddRoute(topo.Route{To: "fd00:9::/64", Via: "fd00:3::9", Table: 200})).To(Succeed())
		heard := datagrams(s.node("site"), 53, -1)
		site, dns := netip.MustParseAddr("fd00:9::1"), probes.UDP(53).Within(silence)
		Expect(s.node("pc")).To(probes.BeIsolatedFrom(site, dns).At("closed").WithContext(ctx), "without the rule")
		labelRule(fork, 1000, 200, 0xf, 0xf)
		for range 4 {
			notIsolated(ctx, s.node("pc"), site, dns)
		}
		if !asker { // there a program has to choose its label
			Eventually(func() []string {
				says(s.node("pc"), netip.AddrPort{}, netip.AddrPortFrom(site, 53), 1, "plain")
				return heard.heard()
			}, 5*time.Second, time.Millisecond).Should(ContainElement("plain"), "the judge: plain datagrams")
		}
	},
		Entry("on the way", false),
		Entry("at the asker", true),
	)
})
