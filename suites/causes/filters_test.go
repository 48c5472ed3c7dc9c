package causes_test

import (
	"encoding/binary"
	"runtime"
	"time"
	"unsafe"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// filterOut has a filter of tc drop all of IP at an interface, in one direction: a classic BPF
// program, which every user may load. dropped is the kernel's own count of it.
func filterOut(node *harness.Node, name string, parent uint32) (dropped func() uint32, remove func() error) {
	GinkgoHelper()
	on := link(node, name)
	attrs := netlink.QdiscAttrs{LinkIndex: on.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}
	hook := &netlink.GenericQdisc{QdiscAttrs: attrs, QdiscType: "clsact"}
	Expect(node.Netlink().QdiscAdd(hook)).To(Succeed())
	Expect(node.Do(func() error {
		const first = 1 // pref
		r := nl.NewNetlinkRequest(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
		r.AddData(&nl.TcMsg{Ifindex: int32(attrs.LinkIndex), Parent: parent, Info: netlink.MakeHandle(first, nl.Swap16(unix.ETH_P_IP))})
		r.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
		options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
		program := binary.NativeEndian.AppendUint16(nil, unix.BPF_RET|unix.BPF_K) // struct sock_filter
		program = binary.NativeEndian.AppendUint32(append(program, 0, 0), uint32(netlink.TC_ACT_SHOT))
		options.AddRtAttr(nl.TCA_BPF_OPS_LEN, nl.Uint16Attr(uint16(len(program)/8)))
		options.AddRtAttr(nl.TCA_BPF_OPS, program)
		options.AddRtAttr(nl.TCA_BPF_FLAGS, nl.Uint32Attr(nl.TCA_BPF_FLAG_ACT_DIRECT))
		r.AddData(options)
		_, err := r.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})).To(Succeed())
	return dropsOf(node, on, hook.QdiscType), func() error { return node.Netlink().QdiscDel(hook) }
}

var _ = Describe("a filter of tc that drops", func() {
	DescribeTable("is named, and isolates nobody as long as what else it drops is not known", func(ctx SpecContext, at func(office) *harness.Node, name string, parent uint32, leg evidence.Role, outcome OmegaMatcher) {
		o := warm(ctx)
		dropped, remove := filterOut(at(o), name, parent)
		var results []probes.Result
		for _, p := range []probes.Probe{icmp.Within(silence), web.Within(silence), dns.Within(2 * time.Second)} { // a program answers the last
			for _, r := range watch(ctx, o.client, o.server, p) {
				if r.Addr.Is4() {
					results = append(results, r)
				} else {
					Expect(r.Outcome).To(Equal(probes.Answered), "what the filter is not about: %s", causeOf(r))
				}
			}
		}
		Expect(dropped()).To(BeNumerically(">=", len(results)), "the judge: the kernel's own count of what filters drop there")
		Expect(results).To(HaveEach(HaveField("Outcome", outcome)))
		for _, r := range results {
			o.namesNoPolicy(r, evidence.Filter, at(o), name, leg)
			Expect(r.Cause.Detail).To(ContainSubstring("filter protocol ip pref 1 bpf"))
		}

		By("taking it away, as the control")
		Expect(remove()).To(Succeed())
		o.reaches(ctx, all...)
	},
		Entry("as it leaves the asker, also where the kernel calls it a lack of buffers", atClient, "lan", uint32(netlink.HANDLE_MIN_EGRESS), evidence.Request, BeElementOf(probes.Silent, probes.Unsent)),
		Entry("as it comes to the router", atFw, "lan", uint32(netlink.HANDLE_MIN_INGRESS), evidence.Request, Equal(probes.Silent)),
		Entry("as it leaves the router", atFw, "dmz", uint32(netlink.HANDLE_MIN_EGRESS), evidence.Request, Equal(probes.Silent)),
		Entry("as it comes to the target", atServer, "dmz", uint32(netlink.HANDLE_MIN_INGRESS), evidence.Request, Equal(probes.Silent)),
		Entry("as the answer leaves the target", atServer, "dmz", uint32(netlink.HANDLE_MIN_EGRESS), evidence.Answer, Equal(probes.Silent)),
		Entry("as the answer comes to the router", atFw, "dmz", uint32(netlink.HANDLE_MIN_INGRESS), evidence.Answer, Equal(probes.Silent)),
		Entry("as the answer comes to the asker", atClient, "lan", uint32(netlink.HANDLE_MIN_INGRESS), evidence.Answer, Equal(probes.Silent)),
	)
})

// takeAll has an XDP program of an interface drop each frame.
func takeAll(node *harness.Node, name string) (remove func() error) {
	GinkgoHelper()
	const load, xdp, drop = 5, 6, 1            // BPF_PROG_LOAD, BPF_PROG_TYPE_XDP, XDP_DROP (linux/bpf.h)
	program := []uint64{0xb7 | drop<<32, 0x95} // r0 = XDP_DROP; exit
	license := []byte("GPL\x00")
	attr := struct {
		kind, instructions uint32
		program, license   uint64
		rest               [96]byte
	}{kind: xdp, instructions: uint32(len(program)), program: uint64(uintptr(unsafe.Pointer(&program[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0])))}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, load, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	Expect(errno).To(BeZero())
	runtime.KeepAlive([]any{program, license})
	defer unix.Close(int(fd))
	const generic = 1 << 1 // XDP_FLAGS_SKB_MODE (linux/if_link.h)
	on := link(node, name)
	set := func(fd int) error {
		return node.Do(func() error { return netlink.LinkSetXdpFdWithFlags(on, fd, generic) })
	}
	Expect(set(int(fd))).To(Succeed())
	return func() error { return set(-1) }
}

var _ = Describe("an XDP program that drops", func() {
	DescribeTable("is named, and isolates nobody as long as what else it takes is not known", func(ctx SpecContext, at func(office) *harness.Node, name string, leg evidence.Role) {
		harness.Require(GinkgoTB(), harness.Root)
		o := warm(ctx)
		remove := takeAll(at(o), name)
		was := link(at(o), name).Attrs().Statistics.RxPackets
		for _, p := range []probes.Probe{icmp.Within(silence), web.Within(silence), dns.Within(silence)} {
			for _, r := range watch(ctx, o.client, o.server, p) {
				Expect(r.Outcome).To(Equal(probes.Silent))
				o.namesNoPolicy(r, evidence.XDP, at(o), name, leg)
			}
		}
		Expect(link(at(o), name).Attrs().Statistics.RxPackets).To(BeNumerically(">", was), "the judge: frames came to the interface")

		By("detaching it, as the control")
		Expect(remove()).To(Succeed())
		o.reaches(ctx, all...)
	},
		Entry("at the router", atFw, "lan", evidence.Request),
		Entry("at the target", atServer, "dmz", evidence.Request),
		Entry("at the asker", atClient, "lan", evidence.Answer),
	)
})
