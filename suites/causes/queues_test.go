package causes_test

import (
	"fmt"
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

// narrow gives an interface a queue that has room for nothing; dropped is its own count.
func narrow(node *harness.Node, name string) (dropped func() uint32, widen func() error) {
	GinkgoHelper()
	on := link(node, name)
	attrs := netlink.QdiscAttrs{LinkIndex: on.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}
	queue := &netlink.GenericQdisc{QdiscAttrs: attrs, QdiscType: "bfifo"} // every kernel has that one
	Expect(node.Do(func() error {
		r := nl.NewNetlinkRequest(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
		r.AddData(&nl.TcMsg{Ifindex: int32(attrs.LinkIndex), Handle: attrs.Handle, Parent: attrs.Parent})
		r.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated(queue.QdiscType)))
		r.AddData(nl.NewRtAttr(nl.TCA_OPTIONS, nl.Uint32Attr(1))) // bytes
		_, err := r.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})).To(Succeed())
	return dropsOf(node, on, queue.QdiscType), func() error { return node.Netlink().QdiscDel(queue) }
}

// dropsOf is the kernel's own count of what an interface's queueing discipline of a kind has dropped.
func dropsOf(node *harness.Node, on netlink.Link, kind string) func() uint32 {
	return func() (n uint32) {
		GinkgoHelper()
		queues, err := node.Netlink().QdiscList(on)
		Expect(err).NotTo(HaveOccurred())
		for _, q := range queues {
			if q.Type() == kind {
				n += q.Attrs().Statistics.Queue.Drops
			}
		}
		return n
	}
}

// namesNoPolicy says that a cause of a kind is named at a node's interface, and isolates nobody
// unless the test expects it.
func (o office) namesNoPolicy(r probes.Result, kind evidence.Kind, at *harness.Node, name string, leg evidence.Role) {
	GinkgoHelper()
	Expect(r.Cause).To(HaveValue(And(HaveField("Kind", kind), HaveField("Node", at.Name()), HaveField("Interface", name),
		HaveField("Leg", leg), HaveField("Policy", false))), "%s", causeOf(r))
	no, _ := halves(r)
	Expect(r).To(no(o.server).At(at.Name()).Because(kind))
	noVerdict(no(o.server), r, "no policy isolates here", fmt.Sprintf("Because(%q)", kind))
}

// settle makes what the nodes know of their neighbours stay: the queue drops their questions
// as well, and a slow machine forgets in the midst of a spec.
func (o office) settle() {
	GinkgoHelper()
	for _, node := range []*harness.Node{o.client, o.fw, o.server} {
		known, err := node.Netlink().NeighList(0, netlink.FAMILY_ALL)
		Expect(err).NotTo(HaveOccurred())
		for _, n := range known {
			if n.State&(netlink.NUD_REACHABLE|netlink.NUD_STALE|netlink.NUD_DELAY|netlink.NUD_PROBE) != 0 {
				n.State = netlink.NUD_PERMANENT
				Expect(node.Netlink().NeighSet(&n)).To(Succeed())
			}
		}
	}
}

var _ = Describe("a queue of an interface that drops", func() {
	DescribeTable("is named, and does not isolate", func(ctx SpecContext, at func(office) *harness.Node, name string, leg evidence.Role, outcome OmegaMatcher) {
		o := warm(ctx)
		o.settle()
		dropped, widen := narrow(at(o), name)
		var results []probes.Result
		for _, p := range []probes.Probe{icmp.Within(silence), web.Within(silence), dns.Within(2 * time.Second)} { // a program answers the last
			results = append(results, watch(ctx, o.client, o.server, p)...)
		}
		Expect(dropped()).To(BeNumerically(">=", len(results)), "the judge: the queue's own count")
		Expect(results).To(HaveEach(HaveField("Outcome", outcome)))
		for _, r := range results {
			o.namesNoPolicy(r, evidence.Queue, at(o), name, leg)
		}

		By("taking it away, as the control")
		Expect(widen()).To(Succeed())
		o.reaches(ctx, all...)
	},
		Entry("at the asker, also where the kernel calls it a lack of buffers", atClient, "lan", evidence.Request, BeElementOf(probes.Silent, probes.Unsent)),
		Entry("on the way", atFw, "dmz", evidence.Request, Equal(probes.Silent)),
		Entry("on the way back", atFw, "lan", evidence.Answer, Equal(probes.Silent)),
		Entry("at the target, of its answers", atServer, "dmz", evidence.Answer, Equal(probes.Silent)),
	)
})
