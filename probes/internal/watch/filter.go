package watch

import (
	"encoding/binary"
	"slices"

	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// filter lets through what may belong to a watched flow, wherever translation has
// taken it: ICMP, TCP segments that open or reset a connection, the datagrams of
// probes and those from or to their ports, and the questions and answers about
// neighbours (ARP; ND is ICMPv6). A packet begins at its network header.
func filter(ports []uint16) ([]unix.SockFilter, error) {
	const (
		accept = "accept"
		reject = "reject"
	)
	a := &assembler{labels: map[string]int{}}
	a.add(bpf.LoadExtension{Num: bpf.ExtProto})
	a.jump(unix.ETH_P_ARP, accept, "")
	a.jump(unix.ETH_P_IPV6, "ipv6", "")
	a.jump(unix.ETH_P_IP, "", reject)

	a.add(bpf.LoadAbsolute{Off: 6, Size: 2}) // flags and fragment offset
	a.add(bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: a.to(reject)})
	a.add(bpf.LoadAbsolute{Off: 9, Size: 1})
	a.jump(unix.IPPROTO_ICMP, accept, "")
	a.add(bpf.LoadMemShift{Off: 0}) // X is the header's length
	a.transport(ports, accept, reject)

	a.label("ipv6")
	a.add(bpf.LoadAbsolute{Off: 6, Size: 1})
	a.jump(unix.IPPROTO_ICMPV6, accept, "")
	a.add(bpf.LoadConstant{Dst: bpf.RegX, Val: 40})
	a.transport(ports, accept, reject)

	a.label(reject)
	a.add(bpf.RetConstant{Val: 0})
	a.label(accept)
	a.add(bpf.RetConstant{Val: snapLength})
	return a.assemble()
}

// udpPorts are the ports whose datagrams are to be heard.
func udpPorts(flows []wire.Flow) (ports []uint16) {
	for _, f := range flows {
		if f.Protocol == wire.UDP && !slices.Contains(ports, f.Port) {
			ports = append(ports, f.Port)
		}
	}
	return ports
}

// maxPorts bounds the program: a jump reaches 255 instructions far. With more
// ports every datagram is let through.
const maxPorts = 40

// transport goes on with the protocol in A and the header's length in X.
func (a *assembler) transport(ports []uint16, accept, reject string) {
	udp := a.fresh("udp")
	a.jump(unix.IPPROTO_UDP, udp, "")
	a.jump(unix.IPPROTO_TCP, "", reject)
	a.add(bpf.LoadIndirect{Off: 13, Size: 1})
	a.add(bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: wire.SYN | wire.RST, SkipTrue: a.to(accept), SkipFalse: a.to(reject)})
	a.label(udp)
	if len(ports) > maxPorts {
		a.jump(unix.IPPROTO_UDP, accept, accept)
		return
	}
	for _, off := range []uint32{0, 2} {
		a.add(bpf.LoadIndirect{Off: off, Size: 2})
		for _, port := range ports {
			a.jump(uint32(port), accept, "")
		}
	}
	a.add(bpf.LoadIndirect{Off: 8, Size: 4})
	a.jump(binary.BigEndian.Uint32([]byte(wire.RequestWord)), accept, reject)
}

// assembler resolves labels, which package bpf does not know: until assemble a
// skip is the label's number plus one, and zero goes on.
type assembler struct {
	program []bpf.Instruction
	names   []string
	labels  map[string]int
}

func (a *assembler) add(i bpf.Instruction) { a.program = append(a.program, i) }

func (a *assembler) label(name string) { a.labels[name] = len(a.program) }

func (a *assembler) to(name string) uint8 {
	if name == "" {
		return 0
	}
	a.names = append(a.names, name)
	return uint8(len(a.names))
}

// fresh is a label that nobody else has.
func (a *assembler) fresh(name string) string {
	return name + string(rune('0'+len(a.program)))
}

// jump compares A.
func (a *assembler) jump(value uint32, equal, other string) {
	a.add(bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipTrue: a.to(equal), SkipFalse: a.to(other)})
}

func (a *assembler) assemble() ([]unix.SockFilter, error) {
	for at, i := range a.program {
		if jump, ok := i.(bpf.JumpIf); ok {
			jump.SkipTrue, jump.SkipFalse = a.skip(at, jump.SkipTrue), a.skip(at, jump.SkipFalse)
			a.program[at] = jump
		}
	}
	raw, err := bpf.Assemble(a.program)
	if err != nil {
		return nil, err
	}
	out := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		out[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return out, nil
}

func (a *assembler) skip(at int, label uint8) uint8 {
	if label == 0 {
		return 0
	}
	return uint8(a.labels[a.names[label-1]] - at - 1)
}
