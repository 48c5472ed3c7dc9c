package probes

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// extended is a struct sock_extended_err and the sockaddr of the offender.
func extended(errno unix.Errno, origin, kind, code uint8, info uint32, from netip.Addr) []byte {
	data := binary.NativeEndian.AppendUint32(nil, uint32(errno))
	data = append(data, origin, kind, code, 0)
	data = binary.NativeEndian.AppendUint32(data, info)
	data = binary.NativeEndian.AppendUint32(data, 0)
	switch {
	case from.Is4():
		data = append(binary.NativeEndian.AppendUint16(data, unix.AF_INET), 0, 0)
		data = append(data, from.AsSlice()...)
		data = append(data, make([]byte, 8)...)
	case from.Is6():
		data = append(binary.NativeEndian.AppendUint16(data, unix.AF_INET6), 0, 0, 0, 0, 0, 0)
		data = append(data, from.AsSlice()...)
		data = append(data, make([]byte, 4)...)
	}
	return data
}

func TestParseExtendedError(t *testing.T) {
	t.Parallel()
	v4, v6 := netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("fd00::1")
	for _, c := range []struct {
		data   []byte
		want   queued
		closed bool
		fatal  bool
		mtu    int
	}{
		{extended(unix.ECONNREFUSED, unix.SO_EE_ORIGIN_ICMP, 3, 3, 0, v4),
			queued{errno: unix.ECONNREFUSED, origin: unix.SO_EE_ORIGIN_ICMP, kind: 3, code: 3, offender: v4}, true, true, 0},
		{extended(unix.ENOPROTOOPT, unix.SO_EE_ORIGIN_ICMP, 3, 2, 0, v4),
			queued{errno: unix.ENOPROTOOPT, origin: unix.SO_EE_ORIGIN_ICMP, kind: 3, code: 2, offender: v4}, true, true, 0},
		{extended(unix.EMSGSIZE, unix.SO_EE_ORIGIN_ICMP, 3, 4, 1300, v4),
			queued{errno: unix.EMSGSIZE, origin: unix.SO_EE_ORIGIN_ICMP, kind: 3, code: 4, info: 1300, offender: v4}, false, true, 1300},
		{extended(unix.EREMOTEIO, unix.SO_EE_ORIGIN_ICMP, 5, 1, 0x0a000101, v4), // info is the better gateway
			queued{errno: unix.EREMOTEIO, origin: unix.SO_EE_ORIGIN_ICMP, kind: 5, code: 1, info: 0x0a000101, offender: v4}, false, false, 0},
		{extended(unix.ECONNREFUSED, unix.SO_EE_ORIGIN_ICMP6, 1, 4, 0, v6),
			queued{errno: unix.ECONNREFUSED, origin: unix.SO_EE_ORIGIN_ICMP6, kind: 1, code: 4, offender: v6}, true, true, 0},
		{extended(unix.EMSGSIZE, unix.SO_EE_ORIGIN_ICMP6, 2, 0, 1280, v6),
			queued{errno: unix.EMSGSIZE, origin: unix.SO_EE_ORIGIN_ICMP6, kind: 2, info: 1280, offender: v6}, false, true, 1280},
		{extended(unix.EPROTO, unix.SO_EE_ORIGIN_ICMP6, 137, 0, 0, v6),
			queued{errno: unix.EPROTO, origin: unix.SO_EE_ORIGIN_ICMP6, kind: 137, offender: v6}, false, false, 0},
		{extended(unix.EMSGSIZE, unix.SO_EE_ORIGIN_LOCAL, 0, 0, 1500, netip.Addr{}),
			queued{errno: unix.EMSGSIZE, origin: unix.SO_EE_ORIGIN_LOCAL, info: 1500}, false, true, 0},
	} {
		got, ok := parseExtendedError(c.data)
		if !ok || got.errno != c.want.errno || got.origin != c.want.origin || got.kind != c.want.kind ||
			got.code != c.want.code || got.info != c.want.info || got.offender != c.want.offender {
			t.Errorf("got  %+v, %v\nwant %+v", got, ok, c.want)
		}
		if got.closedPort() != c.closed || got.fatal() != c.fatal || got.mtu() != c.mtu {
			t.Errorf("%+v: closed port %v, fatal %v, mtu %d", got, got.closedPort(), got.fatal(), got.mtu())
		}
	}
	if _, ok := parseExtendedError(make([]byte, extendedSize-1)); ok {
		t.Error("a struct that is cut short")
	}
	mapped := extended(unix.EHOSTUNREACH, unix.SO_EE_ORIGIN_ICMP, 3, 1, 0, netip.AddrFrom16(v4.As16()))
	if got, ok := parseExtendedError(mapped); !ok || got.offender != v4 {
		t.Errorf("an IPv4 address in IPv6: %+v", got)
	}
}

// FuzzParseExtendedError: whatever the kernel says, an offender is a whole
// address, and the struct's fields are where they are.
func FuzzParseExtendedError(f *testing.F) {
	f.Add(extended(unix.ECONNREFUSED, unix.SO_EE_ORIGIN_ICMP, 3, 3, 0, netip.MustParseAddr("10.0.1.1")))
	f.Add(extended(unix.EMSGSIZE, unix.SO_EE_ORIGIN_ICMP6, 2, 0, 1280, netip.MustParseAddr("fd00::1")))
	f.Add(extended(unix.EMSGSIZE, unix.SO_EE_ORIGIN_LOCAL, 0, 0, 1500, netip.Addr{}))
	f.Fuzz(func(t *testing.T, data []byte) {
		q, ok := parseExtendedError(data)
		if ok != (len(data) >= extendedSize) {
			t.Fatalf("%d bytes: %v", len(data), ok)
		}
		if !ok {
			return
		}
		if q.offender.IsValid() && (q.offender.Is4In6() || q.offender.Zone() != "") {
			t.Errorf("offender %s", q.offender)
		}
		again, _ := parseExtendedError(extended(q.errno, q.origin, q.kind, q.code, q.info, q.offender))
		if again.errno != q.errno || again.kind != q.kind || again.code != q.code || again.offender != q.offender {
			t.Errorf("%+v, and again %+v", q, again)
		}
		if q.closedPort() && !q.fatal() {
			t.Errorf("a closed port that is not fatal: %+v", q)
		}
	})
}
