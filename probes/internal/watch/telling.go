package watch

import (
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// telling is the filter of a trace's socket: it lets through the events that tell where a
// packet is, or that its way ends. A packet that passes hundreds of rules has hundreds of
// others, and an ordinary user's buffer holds some 300.
func telling() ([]unix.SockFilter, error) {
	const (
		attributes = unix.NLMSG_HDRLEN + nfgenmsg // where they begin
		policy     = "policy"
		queue      = 3 // NF_QUEUE (linux/netfilter.h); its number is in the upper half
		stolen     = 2 // NF_STOLEN
		drop       = 0 // NF_DROP
	)
	a := &assembler{labels: map[string]int{}}
	find := func(attribute uint32) {
		a.add(bpf.LoadConstant{Dst: bpf.RegA, Val: attributes})
		a.add(bpf.LoadConstant{Dst: bpf.RegX, Val: attribute})
		a.add(bpf.LoadExtension{Num: bpf.ExtNetlinkAttr}) // its offset, or 0
	}
	value := func() {
		a.add(bpf.TAX{})
		a.add(bpf.LoadIndirect{Off: unix.SizeofNlAttr, Size: 4})
	}
	find(unix.NFTA_TRACE_NETWORK_HEADER)
	a.jump(0, "", accept) // the others show the packet

	find(unix.NFTA_TRACE_VERDICT)
	a.jump(0, policy, "")
	a.add(bpf.LoadConstant{Dst: bpf.RegX, Val: unix.NFTA_VERDICT_CODE})
	a.add(bpf.LoadExtension{Num: bpf.ExtNetlinkAttrNested})
	a.jump(0, reject, "")
	value()
	a.jump(drop, accept, "")
	a.jump(stolen, accept, "")
	a.add(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xff})
	a.jump(queue, accept, reject)

	a.label(policy)
	find(unix.NFTA_TRACE_POLICY)
	a.jump(0, reject, "")
	value()
	a.jump(drop, accept, reject)

	a.label(reject)
	a.add(bpf.RetConstant{Val: 0})
	a.label(accept)
	a.add(bpf.RetConstant{Val: ^uint32(0)})
	return a.assemble()
}
