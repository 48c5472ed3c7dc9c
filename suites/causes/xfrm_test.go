package causes_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// secured gives a node a policy of xfrm for what goes to the server, of both families.
func secured(node *harness.Node, change func(*netlink.XfrmPolicy)) {
	GinkgoHelper()
	for _, to := range []string{server4.String() + "/32", server6.String() + "/128"} {
		p := &netlink.XfrmPolicy{Dst: prefix(to), Src: prefix("0.0.0.0/0"), Dir: netlink.XFRM_DIR_OUT, Action: netlink.XFRM_POLICY_BLOCK}
		if p.Dst.IP.To4() == nil {
			p.Src = prefix("::/0")
		}
		change(p)
		if err := node.Netlink().XfrmPolicyAdd(p); err != nil {
			Expect(err).To(MatchError(unix.EPROTONOSUPPORT))
			Skip("this kernel has no xfrm")
		}
	}
}

// counted is what a node's kernel counts of xfrm; the judge.
func counted(node *harness.Node, name string) (n int) {
	GinkgoHelper()
	Expect(node.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/xfrm_stat")
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); len(fields) == 2 && fields[0] == name {
				_, err = fmt.Sscan(fields[1], &n)
			}
		}
		return err
	})).To(Succeed())
	return n
}

// blockFor gives a node policies that block what comes for the server, for a time that
// package netlink cannot say.
func blockFor(node *harness.Node, limit time.Duration) {
	GinkgoHelper()
	for _, to := range []netip.Addr{server4, server6} {
		msg := &nl.XfrmUserpolicyInfo{Dir: uint8(netlink.XFRM_DIR_FWD), Action: uint8(netlink.XFRM_POLICY_BLOCK)}
		msg.Sel.Family, msg.Sel.PrefixlenD = uint16(nl.GetIPFamily(to.AsSlice())), uint8(to.BitLen())
		msg.Sel.Daddr.FromIP(to.AsSlice())
		lifetime := &msg.Lft
		for _, never := range []*uint64{&lifetime.SoftByteLimit, &lifetime.HardByteLimit, &lifetime.SoftPacketLimit, &lifetime.HardPacketLimit} {
			*never = nl.XFRM_INF
		}
		lifetime.HardAddExpiresSeconds = uint64(limit.Seconds())
		req := nl.NewNetlinkRequest(nl.XFRM_MSG_NEWPOLICY, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
		req.AddData(msg)
		Expect(node.Do(func() error {
			_, err := req.Execute(unix.NETLINK_XFRM, 0)
			return err
		})).To(Succeed())
	}
}

// encrypting has a policy want a tunnel from fw to the server, which nobody has set up.
func encrypting(p *netlink.XfrmPolicy) {
	ends := []string{"10.0.2.2", "10.0.2.1"}
	if p.Dst.IP.To4() == nil {
		ends = []string{"fd00:2::2", "fd00:2::1"}
	}
	p.Action = netlink.XFRM_POLICY_ALLOW
	p.Tmpls = []netlink.XfrmPolicyTmpl{{
		Src: net.ParseIP(ends[0]), Dst: net.ParseIP(ends[1]), Proto: netlink.XFRM_PROTO_ESP, Mode: netlink.XFRM_MODE_TUNNEL, Reqid: 1,
	}}
}

var _ = Describe("a policy of xfrm", func() {
	It("that blocks for a time does not isolate", func(ctx SpecContext) {
		o := warm(ctx)
		secured(o.fw, func(p *netlink.XfrmPolicy) { p.Priority = 9 }) // or it is skipped
		blockFor(o.fw, 10*time.Minute)
		before := counted(o.fw, "XfrmFwdHdrError") + counted(o.fw, "XfrmInPolBlock")
		inconclusive(ctx, o.client, o.server, "until that expires", dns.Within(silence))
		Expect(counted(o.fw, "XfrmFwdHdrError")+counted(o.fw, "XfrmInPolBlock")).To(BeNumerically(">", before), "the judge")
	})

	DescribeTable("that blocks isolates", func(ctx SpecContext, at string, dir netlink.Dir, counter string, asked ...probes.Probe) {
		o := warm(ctx)
		node := o.client.Lab().Node(at)
		secured(node, func(p *netlink.XfrmPolicy) { p.Dir = dir })
		results := isolated(ctx, o.client, o.server, at, evidence.XFRM, "", asked...)
		Expect(results).To(HaveEach(HaveField("Cause.Detail", ContainSubstring("block"))))
		Expect(counted(node, counter)).To(BeNumerically(">=", len(results)))

		By("taking it away, as the control")
		Expect(node.Netlink().XfrmPolicyFlush()).To(Succeed())
		o.reaches(ctx, all...)
	},
		Entry("what comes through fw", "fw", netlink.XFRM_DIR_FWD, "XfrmInPolBlock", icmp, web, dns),
		Entry("what leaves fw", "fw", netlink.XFRM_DIR_OUT, "XfrmOutPolBlock", icmp, web, dns),
		Entry("what comes to the server", "server", netlink.XFRM_DIR_IN, "XfrmInPolBlock", icmp, web, dns),
		Entry("what the client sends", "client", netlink.XFRM_DIR_OUT, "XfrmOutPolBlock", icmp, web, dns),
	)

	It("that is for others isolates nobody", func(ctx SpecContext) {
		o := warm(ctx)
		secured(o.fw, func(p *netlink.XfrmPolicy) { p.Dir, p.Proto, p.DstPort = netlink.XFRM_DIR_FWD, unix.IPPROTO_TCP, 22 })
		o.reaches(ctx, all...)
		results := isolated(ctx, o.client, o.server, "fw", evidence.XFRM, "", probes.TCP(22))
		Expect(results).NotTo(BeEmpty())
	})

	It("that wants it encrypted is told, and is no verdict", func(ctx SpecContext) {
		o := warm(ctx)
		secured(o.fw, encrypting)
		inconclusive(ctx, o.client, o.server, "xfrm", dns.Within(silence))
	})

	It("lets no rule's drop end a probe early: what it encrypts is not followed", func(ctx SpecContext) {
		o := warm(ctx)
		Expect(o.fw.Nft("table inet f { chain c { type filter hook forward priority 0; udp dport 53 drop; }; }")).To(Succeed())
		Expect(watch(ctx, o.client, o.server, dns.Within(time.Minute))).To(HaveEach(HaveField("RTT", BeNumerically("<", time.Minute))))
		secured(o.fw, func(p *netlink.XfrmPolicy) { encrypting(p); p.Proto = unix.IPPROTO_SCTP })
		Expect(watch(ctx, o.client, o.server, dns.Within(silence))).To(HaveEach(HaveField("RTT", BeNumerically(">=", silence))))
	})
})
