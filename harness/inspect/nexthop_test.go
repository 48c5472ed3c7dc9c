package inspect_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	mdlayher "github.com/mdlayher/netlink"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// asks sends netlink requests that create something.
func asks(t *testing.T, node *harness.Node, messages ...mdlayher.Message) {
	t.Helper()
	must(t, node.Do(func() error {
		conn, err := mdlayher.Dial(unix.NETLINK_ROUTE, nil)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		for i, m := range messages {
			m.Header.Flags = mdlayher.Request | mdlayher.Acknowledge | mdlayher.Create
			if _, err := conn.Execute(m); err != nil {
				return fmt.Errorf("request %d: %w", i, err)
			}
		}
		return nil
	}))
}

func message(t *testing.T, kind mdlayher.HeaderType, header []byte, fill func(a *mdlayher.AttributeEncoder)) mdlayher.Message {
	t.Helper()
	a := mdlayher.NewAttributeEncoder()
	fill(a)
	attributes, err := a.Encode()
	must(t, err)
	return mdlayher.Message{Header: mdlayher.Header{Type: kind}, Data: append(header, attributes...)}
}

// familyOf is an address's family, as netlink has it.
func familyOf(addr netip.Addr) byte {
	if addr.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

func objectMessage(t *testing.T, id uint32, index int, via string) mdlayher.Message {
	t.Helper()
	addr := netip.MustParseAddr(via)
	return message(t, unix.RTM_NEWNEXTHOP, []byte{familyOf(addr), 0, 0, 0, 0, 0, 0, 0}, func(a *mdlayher.AttributeEncoder) {
		a.Uint32(unix.NHA_ID, id)
		a.Uint32(unix.NHA_OIF, uint32(index))
		a.Bytes(unix.NHA_GATEWAY, addr.AsSlice())
	})
}

// groupMessage is of a group whose second member has a weight of 2, which is 1 there.
func groupMessage(t *testing.T, id uint32, members ...uint32) mdlayher.Message {
	t.Helper()
	return message(t, unix.RTM_NEWNEXTHOP, make([]byte, 8), func(a *mdlayher.AttributeEncoder) {
		a.Uint32(unix.NHA_ID, id)
		var raw []byte
		for i, member := range members {
			raw = append(binary.NativeEndian.AppendUint32(raw, member), byte(i), 0, 0, 0)
		}
		a.Bytes(unix.NHA_GROUP, raw)
	})
}

func routeMessage(t *testing.T, to string, object uint32) mdlayher.Message {
	t.Helper()
	const nexthopID = 30 // RTA_NH_ID, linux/rtnetlink.h
	prefix := netip.MustParsePrefix(to)
	header := []byte{familyOf(prefix.Addr()), byte(prefix.Bits()), 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, 0, unix.RTN_UNICAST, 0, 0, 0, 0}
	return message(t, unix.RTM_NEWROUTE, header, func(a *mdlayher.AttributeEncoder) {
		a.Bytes(unix.RTA_DST, prefix.Addr().AsSlice())
		a.Uint32(nexthopID, object)
	})
}

// routesByPrefix are a node's routes.
func routesByPrefix(t *testing.T, node *harness.Node) map[string]inspect.Route {
	t.Helper()
	all := map[string]inspect.Route{}
	must(t, node.Do(func() error {
		return inspect.Here(func(ns inspect.Namespace) error {
			routes, err := ns.Routes()
			for _, r := range routes {
				all[r.To.String()] = r
			}
			return err
		})
	}))
	return all
}

// Routes by nexthop objects have their ways whether the kernel writes these out or not.
func TestRoutesOfNexthopObjects(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.IPv6, harness.Kernel(5, 10))
	fw := harness.Up(t, office(plain)).Node("fw")
	lan, dmz := link(t, fw, "lan").Attrs().Index, link(t, fw, "dmz").Attrs().Index
	asks(t, fw, objectMessage(t, 1, lan, "10.0.1.1"), objectMessage(t, 2, dmz, "10.0.2.1"), objectMessage(t, 3, lan, "fd00:1::1"), objectMessage(t, 4, dmz, "fd00:2::1"),
		groupMessage(t, 10, 1, 2), groupMessage(t, 20, 3, 4), routeMessage(t, "10.7.0.0/16", 10), routeMessage(t, "10.8.0.0/16", 1), routeMessage(t, "fd00:7::/64", 20), routeMessage(t, "fd00:8::/64", 4))

	for _, mode := range []string{"1", "0"} {
		must(t, fw.SetSysctl("net.ipv4.nexthop_compat_mode", mode))
		routes := routesByPrefix(t, fw)
		for to, want := range map[string][]inspect.Hop{
			"10.7.0.0/16": {{Via: netip.MustParseAddr("10.0.1.1"), Index: lan, Weight: 1}, {Via: netip.MustParseAddr("10.0.2.1"), Index: dmz, Weight: 2}},
			"fd00:7::/64": {{Via: netip.MustParseAddr("fd00:1::1"), Index: lan, Weight: 1}, {Via: netip.MustParseAddr("fd00:2::1"), Index: dmz, Weight: 2}},
		} {
			if got := routes[to].Hops; !slices.Equal(got, want) {
				t.Errorf("mode %s: the ways of %s are %v, not %v", mode, to, got, want)
			}
		}
		for to, want := range map[string]inspect.Hop{
			"10.8.0.0/16": {Via: netip.MustParseAddr("10.0.1.1"), Index: lan}, "fd00:8::/64": {Via: netip.MustParseAddr("fd00:2::1"), Index: dmz},
		} {
			if r := routes[to]; r.Via != want.Via || r.Index != want.Index {
				t.Errorf("mode %s: %s leads to %v on %d, not %v on %d", mode, to, r.Via, r.Index, want.Via, want.Index)
			}
		}
	}
}
