package watch

import (
	"encoding/binary"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// filter lets through what may belong to a watched probe, wherever translation has
// taken it: echoes, connections and associations with the mark, datagrams that say that they are a
// probe's and those from or to the ports, ICMP errors, with parts also later fragments and what has
// extension headers of IPv6, and the questions and answers
// about neighbours (ARP; ND is ICMPv6). A packet begins at its network header.
func (m mark) filter(ports []uint16, parts bool) ([]unix.SockFilter, error) {
	a := &assembler{labels: map[string]int{}}
	a.add(bpf.LoadExtension{Num: bpf.ExtProto})
	a.jump(unix.ETH_P_ARP, accept, "")
	a.jump(unix.ETH_P_IPV6, "ipv6", "")
	a.jump(unix.ETH_P_IP, "", reject)

	later := reject
	if parts {
		later = accept
	}
	a.add(bpf.LoadAbsolute{Off: 6, Size: 2}) // flags and fragment offset
	a.add(bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: a.to(later)})
	a.add(bpf.LoadMemShift{Off: 0}) // X is the header's length
	a.add(bpf.LoadAbsolute{Off: 9, Size: 1})
	a.jump(unix.IPPROTO_ICMP, "icmp", "transport")

	a.label("ipv6")
	a.add(bpf.LoadConstant{Dst: bpf.RegX, Val: ipv6Header})
	a.add(bpf.LoadAbsolute{Off: 6, Size: 1})
	for _, header := range extensions {
		if parts {
			a.jump(uint32(header), accept, "")
		}
	}
	a.jump(unix.IPPROTO_ICMPV6, "icmp6", "transport")

	a.label("icmp")
	a.add(bpf.LoadIndirect{Off: 0, Size: 1})
	a.jump(icmpEchoReply, toEcho, "")
	a.jump(icmpEcho, toEcho, accept)

	a.label("icmp6")
	a.add(bpf.LoadIndirect{Off: 0, Size: 1})
	a.jump(icmp6Echo, toEcho, "")
	a.jump(icmp6EchoReply, toEcho, "")
	a.jump(icmp6Solicit, accept, "")
	a.jump(icmp6Advertise, accept, "")
	a.add(bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: icmp6LastError, SkipTrue: a.to(reject), SkipFalse: a.to(accept)})

	a.label(toEcho)
	m.marked(a)

	m.transport(a, ports)
	a.label(reject)
	a.add(bpf.RetConstant{Val: 0})
	a.label(accept)
	a.add(bpf.RetConstant{Val: snapLength})
	return a.assemble()
}

// marked accepts what has the mark behind a header of eight bytes, and nothing else.
func (m mark) marked(a *assembler) {
	a.add(bpf.LoadIndirect{Off: 8, Size: 4})
	a.jump(binary.BigEndian.Uint32(m.echo[:]), "", reject)
	a.add(bpf.LoadIndirect{Off: 12, Size: 4})
	a.jump(binary.BigEndian.Uint32(m.echo[4:]), accept, reject)
}

// Labels of the filter.
const (
	accept = "accept"
	reject = "reject"
	toEcho = "echo"
)

// maxPorts bounds the program: a jump reaches 255 instructions far. With more
// ports every datagram is let through.
const maxPorts = 40

// transport goes on with the protocol in A and the header's length in X.
func (m mark) transport(a *assembler, ports []uint16) {
	a.label("transport")
	a.jump(unix.IPPROTO_UDP, "udp", "")
	a.jump(unix.IPPROTO_UDPLITE, "udp", "")
	a.jump(unix.IPPROTO_SCTP, "sctp", "")
	a.jump(unix.IPPROTO_TCP, "", "other")
	m.numbered(a, tcpSeq, tcpAck)
	a.add(bpf.RetConstant{Val: 0})
	a.label("sctp")
	m.numbered(a, sctpTag, sctpInitTag) // what is shorter than an INIT ends here, and has its tag before
	a.label("other")                    // what they carry is marked where an echo's is
	m.marked(a)
	a.label("udp")
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
	a.jump(binary.BigEndian.Uint32(probeWords), accept, reject)
}

// numbered accepts what has the mark in one of its numbers.
func (m mark) numbered(a *assembler, offsets ...uint32) {
	for _, off := range offsets {
		a.add(bpf.LoadIndirect{Off: off, Size: 4})
		a.add(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: isnMask})
		a.jump(m.isn, accept, "")
	}
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
