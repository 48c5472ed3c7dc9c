package watch

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// traceEvent is a step of a packet through the rules (linux/netfilter/nf_tables.h,
// nft_trace_attributes).
type traceEvent struct {
	family  byte
	table   string
	chain   string
	handle  uint64
	kind    uint32
	verdict int32
	policy  uint32
	id      uint32
	iif     int
	oif     int
	mark    uint32

	// Only in the first event of each base chain. They are the reader's buffer.
	network, transport []byte
}

// What an event is about (nft_trace_types). Older kernels (5.10) call a rule that says return a return, as
// they do the end of a chain, where there is no rule: both are told apart by the handle.
const (
	tracePolicy = unix.NFT_TRACETYPE_POLICY
	traceReturn = unix.NFT_TRACETYPE_RETURN
	traceRule   = unix.NFT_TRACETYPE_RULE
)

// dropped says whether the packet's way ends here.
func (e *traceEvent) dropped() bool {
	const drop = 0 // NF_DROP
	return e.kind == traceRule && e.handle != 0 && e.verdict == drop || e.kind == tracePolicy && e.policy == drop
}

// names keeps one string of each name that events have: there are few.
type names map[string]string

func (n names) of(value []byte) string {
	for len(value) > 0 && value[len(value)-1] == 0 {
		value = value[:len(value)-1]
	}
	if name, ok := n[string(value)]; ok {
		return name
	}
	name := string(value)
	n[name] = name
	return name
}

// parseTrace reads a trace message: struct nfgenmsg and attributes, which are
// big-endian. Attributes that it does not know it passes over.
func parseTrace(data []byte, known names) (e traceEvent, ok bool) {
	if len(data) < nfgenmsg {
		return e, false
	}
	e.family, e.verdict, e.policy = data[0], -1, ^uint32(0)
	for kind, value := range attributes(data[nfgenmsg:]) {
		switch kind {
		case unix.NFTA_TRACE_TABLE:
			e.table = known.of(value)
		case unix.NFTA_TRACE_CHAIN:
			e.chain = known.of(value)
		case unix.NFTA_TRACE_RULE_HANDLE:
			if len(value) == 8 {
				e.handle = binary.BigEndian.Uint64(value)
			}
		case unix.NFTA_TRACE_TYPE:
			e.kind = number(value)
		case unix.NFTA_TRACE_VERDICT:
			for kind, code := range attributes(value) {
				if kind == unix.NFTA_VERDICT_CODE {
					e.verdict = int32(number(code))
				}
			}
		case unix.NFTA_TRACE_ID:
			e.id, ok = number(value), len(value) == 4
		case unix.NFTA_TRACE_NETWORK_HEADER:
			e.network = value
		case unix.NFTA_TRACE_TRANSPORT_HEADER:
			e.transport = value
		case unix.NFTA_TRACE_IIF:
			e.iif = int(number(value))
		case unix.NFTA_TRACE_OIF:
			e.oif = int(number(value))
		case unix.NFTA_TRACE_MARK:
			e.mark = number(value)
		case unix.NFTA_TRACE_POLICY:
			e.policy = number(value)
		}
	}
	if e.kind == traceReturn && e.handle != 0 {
		e.kind = traceRule
	}
	return e, ok
}

func number(value []byte) uint32 {
	if len(value) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(value)
}
