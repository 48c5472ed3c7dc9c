package watch

import (
	"encoding/hex"
	"slices"
	"testing"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// Messages of a 6.18 kernel, about packets through these rules:
//
//	table inet filter {
//		chain x { udp dport 54 drop }
//		chain pre { type nat hook prerouting priority -100; udp dport 56 dnat ip to 10.0.2.1:54; }
//		chain forward {
//			type filter hook forward priority 0; policy drop;
//			ct state established accept
//			udp dport 53 counter drop comment "no dns"
//			udp dport 54 jump x
//			tcp dport 80 reject with tcp reset
//		}
//	}
const (
	recordedDrop   = "0100000008000f0000000002080004000000000308000600c949fad90c000200666f7277617264000b00010066696c74657200000c00030000000000000000070c000500080001000000000008000a000000000206000b000001000008000c000000000306000d000001000018000800450000340f0940003f1115af0a0001010a0002011800090081ab0035002017336e73746573743f203031323312000700c6412f1d63a186e66745771508000000080015000000000805001300000000000800120056f7fc9d0800140000000100"
	recordedDrop6  = "0100000008000f000000000a080004000000000308000600949741780c000200666f7277617264000b00010066696c74657200000c00030000000000000000070c000500080001000000000008000a000000000206000b000001000008000c000000000306000d00000100002c000800600f2c6a0020113ffd000001000000000000000000000001fd00000200000000000000000000000118000900b72600350020fa376e73746573743f203031323312000700c6412f1d63a186e66745771586dd00000800150000000008050013000000000008001200c35441640800140000000100"
	recordedPolicy = "0100000008000f000000000208000400000000010800060019c293820c000200666f7277617264000b00010066696c74657200000800100000000000"
	recordedPass   = "0100000008000f0000000002080004000000000108000600c949fad908000200707265000b00010066696c74657200000800100000000001"
	recordedJump   = "0100000008000f000000000208000400000000030800060005c18e0a0c000200666f7277617264000b00010066696c74657200000c00030000000000000000081400050008000100fffffffd060002007800000008000a000000000206000b000001000008000c000000000306000d00000100001800080045000034974b40003f118d6c0a0001010a00020118000900e5180036002017336e73746573743f203031323312000700c6412f1d63a186e66745771508000000080015000000000805001300000000000800120098f7d4570800140000000100"
	recordedJumped = "0100000008000f000000000208000400000000030800060005c18e0a06000200780000000b00010066696c74657200000c00030000000000000000040c0005000800010000000000"
	recordedEnd    = "0100000008000f000000000208000400000000030800060019c293820c000200666f7277617264000b00010066696c74657200000c00050008000100ffffffff08000a000000000206000b000001000008000c000000000306000d00000100001800080045000034299040003f11fb270a0001010a00020118000900a7230037002017336e73746573743f203031323312000700c6412f1d63a186e667457715080000000800150000000008050013000000000008001200db6b03350800140000000100"
	recordedDNAT   = "0100000008000f0000000002080004000000000308000600459fa2b608000200707265000b00010066696c74657200000c00030000000000000000050c000500080001000000000108000a000000000206000b000001000018000800450000343bb840004011e7f70a0001010a00020918000900b99c00380020173b6e73746573743f203031323312000700c6412f1d63a186e667457715080000000800150000000008050013000000000008001200234a22340800140000000120"
	recordedReject = "0100000008000f0000000002080004000000000308000600c99c7dd90c000200666f7277617264000b00010066696c74657200000c00030000000000000000090c000500080001000000000008000a000000000206000b000001000008000c000000000306000d0000010000180008004500003cb93940003f066b810a0001010a00020118000900cba600508dbb41ea00000000a002faf01730000012000700c6412f1d63a186e667457715080000000800150000000008050013000000000008001200f77410e60800140000000180"
	recordedReset  = "0100000008000f00000000020800040000000003080006006437aea2080002006f757400220001006e73746573742d74726163652d303030303030303030303030303030300000000c000300000000000000000a0c00050008000100ffffffff08000c000000000206000d0000010000180008004500002800004000400623cf0a0002010a000101180009000050cba6000000008dbb41eb50140000171c00000800150000000004050013000100000008001200f77410e60800140000000100"
)

var recorded = []string{
	recordedDrop, recordedDrop6, recordedPolicy, recordedPass, recordedJump, recordedJumped, recordedEnd, recordedDNAT, recordedReject, recordedReset,
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const none = ^uint32(0) // no policy

// trace is a message, what is to be read of it, of which packet, and whether that
// was dropped.
type trace struct {
	data    string
	want    traceEvent
	packet  string
	dropped bool
}

var recordedTraces = map[string]trace{
	"a rule that drops": {
		recordedDrop, traceEvent{chain: "forward", handle: 7, kind: traceRule, policy: none, id: 0xc949fad9, iif: 2, oif: 3},
		"udp 10.0.1.1:33195 > 10.0.2.1:53", true,
	},
	"a rule that drops v6": {
		recordedDrop6, traceEvent{chain: "forward", handle: 7, kind: traceRule, policy: none, id: 0x94974178, iif: 2, oif: 3},
		"udp [fd00:1::1]:46886 > [fd00:2::1]:53", true,
	},
	"a policy that drops":  {recordedPolicy, traceEvent{chain: "forward", kind: tracePolicy, verdict: -1, id: 0x19c29382}, "", true},
	"a policy that passes": {recordedPass, traceEvent{chain: "pre", kind: tracePolicy, verdict: -1, policy: 1, id: 0xc949fad9}, "", false},
	"a jump": {
		recordedJump, traceEvent{chain: "forward", handle: 8, kind: traceRule, verdict: -3, policy: none, id: 0x05c18e0a, iif: 2, oif: 3},
		"udp 10.0.1.1:58648 > 10.0.2.1:54", false,
	},
	"a drop after a jump": {recordedJumped, traceEvent{chain: "x", handle: 4, kind: traceRule, policy: none, id: 0x05c18e0a}, "", true},
	"a chain's end": {
		recordedEnd, traceEvent{chain: "forward", kind: traceRule, verdict: -1, policy: none, id: 0x19c29382, iif: 2, oif: 3},
		"udp 10.0.1.1:42787 > 10.0.2.1:55", false,
	},
	"a translation": {
		recordedDNAT, traceEvent{chain: "pre", handle: 5, kind: traceRule, verdict: 1, policy: none, id: 0x459fa2b6, iif: 2},
		"udp 10.0.1.1:47516 > 10.0.2.9:56", false,
	},
	"a rule that rejects": {
		recordedReject, traceEvent{chain: "forward", handle: 9, kind: traceRule, policy: none, id: 0xc99c7dd9, iif: 2, oif: 3},
		"tcp 10.0.1.1:52134 > 10.0.2.1:80 SYN", true,
	},
	"what a node sends": {
		recordedReset, traceEvent{table: "nstest-trace-0000000000000000", chain: "out", handle: 10, kind: traceRule, verdict: -1, policy: none, id: 0x6437aea2, oif: 2},
		"tcp 10.0.2.1:80 > 10.0.1.1:52134 RST,ACK", false,
	},
}

func TestRecordedTraces(t *testing.T) {
	t.Parallel()
	for name, c := range recordedTraces {
		got, ok := parseTrace(unhex(t, c.data))
		if !ok {
			t.Errorf("%s: not parsed", name)
			continue
		}
		c.want.family = nftables.TableFamilyINet
		if c.want.table == "" {
			c.want.table = "filter"
		}
		packet := ""
		if got.packet != nil {
			packet = got.packet.String()
		}
		got.packet = nil
		if got != c.want || packet != c.packet {
			t.Errorf("%s: %+v of %q, want %+v of %q", name, got, packet, c.want, c.packet)
		}
		if got.dropped() != c.dropped {
			t.Errorf("%s: dropped: %v", name, got.dropped())
		}
	}
}

// handMade is trace of bytes.
type handMade struct {
	data    []byte
	want    traceEvent
	packet  string
	dropped bool
}

// attribute is a netlink attribute with a big-endian number.
func attribute(kind uint16, value ...byte) []byte {
	data, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: kind, Data: value}})
	if err != nil {
		panic(err)
	}
	return data
}

func message(family byte, attributes ...[]byte) []byte {
	return append([]byte{family, 0, 0, 0}, slices.Concat(attributes...)...)
}

func TestTracesMadeByHand(t *testing.T) {
	t.Parallel()
	packet := udp(ap(client4, 40000), ap(server4, 53), request(testNonce(0x50)))
	kind := attribute(unix.NFTA_TRACE_TYPE, 0, 0, 0, traceRule)
	handle := attribute(unix.NFTA_TRACE_RULE_HANDLE, 0, 0, 0, 0, 0, 0, 1, 2)
	verdict := func(code ...byte) []byte {
		return attribute(unix.NFTA_TRACE_VERDICT|unix.NLA_F_NESTED, append(attribute(unix.NFTA_VERDICT_CHAIN, 'x', 0), attribute(unix.NFTA_VERDICT_CODE, code...)...)...)
	}
	network, transport := attribute(unix.NFTA_TRACE_NETWORK_HEADER, packet[:20]...), attribute(unix.NFTA_TRACE_TRANSPORT_HEADER, packet[20:40]...)
	for name, c := range map[string]handMade{
		"nothing but a family": {message(7), traceEvent{family: nftables.TableFamilyBridge, verdict: -1, policy: none}, "", false},
		"unknown attributes": {
			message(2, attribute(99, 1, 2, 3), kind, attribute(unix.NFTA_TRACE_VERDICT, attribute(77, 1)...), attribute(200)),
			traceEvent{family: nftables.TableFamilyIPv4, kind: traceRule, verdict: -1, policy: none}, "", false,
		},
		"a nested verdict": {
			message(2, kind, handle, verdict(0, 0, 0, 0)),
			traceEvent{family: nftables.TableFamilyIPv4, kind: traceRule, handle: 0x102, policy: none}, "", true,
		},
		"a goto": {
			message(2, kind, handle, verdict(255, 255, 255, 252)),
			traceEvent{family: nftables.TableFamilyIPv4, kind: traceRule, handle: 0x102, verdict: -4, policy: none}, "", false,
		},
		"a return": {
			message(2, attribute(unix.NFTA_TRACE_TYPE, 0, 0, 0, traceReturn), verdict(255, 255, 255, 251)),
			traceEvent{family: nftables.TableFamilyIPv4, kind: traceReturn, verdict: -5, policy: none}, "", false,
		},
		"headers": {
			message(1, network, transport),
			traceEvent{family: nftables.TableFamilyINet, verdict: -1, policy: none}, "udp 10.0.1.1:40000 > 10.0.2.1:53", false,
		},
		// It is a packet of no flow; without one, what follows would be of the flow that had the number before.
		"a network header alone":   {message(1, network), traceEvent{family: nftables.TableFamilyINet, verdict: -1, policy: none}, "udp 10.0.1.1:0 > 10.0.2.1:0", false},
		"a transport header alone": {message(1, transport), traceEvent{family: nftables.TableFamilyINet, verdict: -1, policy: none}, "", false},
	} {
		got, ok := parseTrace(c.data)
		text := ""
		if got.packet != nil {
			text = got.packet.String()
		}
		got.packet = nil
		if !ok || got != c.want || text != c.packet || got.dropped() != c.dropped {
			t.Errorf("%s: %+v of %q, dropped %v (%v), want %+v of %q", name, got, text, got.dropped(), ok, c.want, c.packet)
		}
	}
}

// A flow is known by what little of a packet a trace shows.
func TestTracesShowWhoseAPacketIs(t *testing.T) {
	t.Parallel()
	event, _ := parseTrace(unhex(t, recordedDrop))
	flow := wire.Flow{From: "client", Protocol: wire.UDP, Nonce: [wire.NonceSize]byte([]byte("0123456789abcdef"))}
	if role := follow(flow).role("fw", event.packet); role != evidence.Request {
		t.Errorf("the flow's own packet is its %s", role)
	}
	flow.Nonce[3]++
	if role := follow(flow).role("fw", event.packet); role != 0 {
		t.Errorf("another's packet is its %s", role)
	}
}

func TestCutTraces(t *testing.T) {
	t.Parallel()
	for _, text := range recorded {
		data := unhex(t, text)
		for n := range data {
			event, ok := parseTrace(slices.Clip(data[:n]))
			if ok && n < 4 {
				t.Errorf("%d bytes are taken for %+v", n, event)
			}
		}
	}
	for name, data := range map[string][]byte{
		"a length beyond the end":   {1, 0, 0, 0, 255, 0, 1, 0, 'x'},
		"a length below the header": {1, 0, 0, 0, 2, 0, 1, 0},
		"a number cut off":          message(1, attribute(unix.NFTA_TRACE_ID, 1, 2)),
		"a handle cut off":          message(1, attribute(unix.NFTA_TRACE_RULE_HANDLE, 0, 0, 0, 1)),
		"a verdict cut off":         message(1, attribute(unix.NFTA_TRACE_VERDICT, attribute(unix.NFTA_VERDICT_CODE, 0, 0)...)),
	} {
		if event, ok := parseTrace(data); ok {
			t.Errorf("%s is taken for %+v", name, event)
		}
	}
}

func FuzzParseTrace(f *testing.F) {
	for _, text := range recorded {
		f.Add(unhex(f, text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		event, ok := parseTrace(data)
		if ok && event.packet != nil && event.packet.String() == "" {
			t.Errorf("%x: %+v", data, event)
		}
	})
}
