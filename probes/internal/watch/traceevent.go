package watch

import (
	"encoding/binary"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// traceEvent is a step of a packet through the rules (linux/netfilter/nf_tables.h,
// nft_trace_attributes).
type traceEvent struct {
	at      time.Time
	family  nftables.TableFamily
	table   string
	chain   string
	handle  uint64
	kind    uint32
	verdict int32
	policy  uint32
	id      uint32
	packet  *wire.Packet // only in the first event of each base chain
	iif     int
	oif     int
	mark    uint32
}

// What an event is about (nft_trace_types).
const (
	tracePolicy = 1
	traceReturn = 2
	traceRule   = 3
)

// dropped says whether the packet's way ends here.
func (e traceEvent) dropped() bool {
	const drop = 0 // NF_DROP
	return e.kind == traceRule && e.handle != 0 && e.verdict == drop || e.kind == tracePolicy && e.policy == drop
}

// parseTrace reads a trace message: struct nfgenmsg and attributes, which are
// big-endian. Attributes that it does not know it passes over.
func parseTrace(data []byte) (event traceEvent, ok bool) {
	const genmsg = 4
	if len(data) < genmsg {
		return event, false
	}
	event.family, event.verdict = nftables.TableFamily(data[0]), -1
	event.policy = ^uint32(0)
	decoder, err := netlink.NewAttributeDecoder(data[genmsg:])
	if err != nil {
		return event, false
	}
	decoder.ByteOrder = binary.BigEndian
	var network, transport []byte
	for decoder.Next() {
		switch decoder.Type() {
		case unix.NFTA_TRACE_TABLE:
			event.table = decoder.String()
		case unix.NFTA_TRACE_CHAIN:
			event.chain = decoder.String()
		case unix.NFTA_TRACE_RULE_HANDLE:
			event.handle = decoder.Uint64()
		case unix.NFTA_TRACE_TYPE:
			event.kind = decoder.Uint32()
		case unix.NFTA_TRACE_VERDICT:
			decoder.Nested(event.readVerdict)
		case unix.NFTA_TRACE_ID:
			event.id = decoder.Uint32()
		case unix.NFTA_TRACE_NETWORK_HEADER:
			network = decoder.Bytes()
		case unix.NFTA_TRACE_TRANSPORT_HEADER:
			transport = decoder.Bytes()
		case unix.NFTA_TRACE_IIF:
			event.iif = int(decoder.Uint32())
		case unix.NFTA_TRACE_OIF:
			event.oif = int(decoder.Uint32())
		case unix.NFTA_TRACE_MARK:
			event.mark = decoder.Uint32()
		case unix.NFTA_TRACE_POLICY:
			event.policy = decoder.Uint32()
		}
	}
	if decoder.Err() != nil {
		return event, false
	}
	if len(network) > 0 {
		event.packet, _ = wire.Parse(append(append([]byte(nil), network...), transport...))
	}
	return event, true
}

func (e *traceEvent) readVerdict(nested *netlink.AttributeDecoder) error {
	for nested.Next() {
		if nested.Type() == unix.NFTA_VERDICT_CODE {
			e.verdict = int32(nested.Uint32())
		}
	}
	return nil
}
