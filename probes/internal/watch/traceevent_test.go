package watch

import (
	"encoding/binary"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A rule that says return did so, whichever of the two kinds a kernel calls it; a chain's end has no rule.
func TestARuleThatReturnsIsARule(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		kind, verdict uint32
		handle        uint64
		want          uint32
	}{
		{traceRule, unix.NFT_RETURN & 0xffffffff, 7, traceRule},
		{traceReturn, unix.NFT_RETURN & 0xffffffff, 7, traceRule}, // as 5.10 tells it
		{traceReturn, unix.NFT_CONTINUE & 0xffffffff, 0, traceReturn},
		{tracePolicy, unix.NFT_CONTINUE & 0xffffffff, 0, tracePolicy},
	} {
		a := netlink.NewAttributeEncoder()
		a.ByteOrder = binary.BigEndian
		a.Uint32(unix.NFTA_TRACE_ID, 1)
		a.Uint32(unix.NFTA_TRACE_TYPE, one.kind)
		if one.handle != 0 {
			a.Uint64(unix.NFTA_TRACE_RULE_HANDLE, one.handle)
		}
		a.Nested(unix.NFTA_TRACE_VERDICT, func(of *netlink.AttributeEncoder) error {
			of.Uint32(unix.NFTA_VERDICT_CODE, one.verdict)
			return nil
		})
		data, err := a.Encode()
		if err != nil {
			t.Fatal(err)
		}
		e, ok := parseTrace(append(make([]byte, nfgenmsg), data...), names{})
		if !ok || e.kind != one.want || e.handle != one.handle || e.verdict != int32(one.verdict) {
			t.Errorf("of %+v it is %+v, %v", one, e, ok)
		}
	}
}
