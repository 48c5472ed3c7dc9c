package harness

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

const (
	vethInfoPeer = 1 // VETH_INFO_PEER, linux/veth.h
	loIndex      = 1 // the loopback is the first interface of every namespace
	firstIndex   = topo.FirstIndex
)

// ifinfo is struct ifinfomsg (rtnetlink(7)).
func ifinfo(index int, flags, change uint32) []byte {
	header := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	binary.NativeEndian.PutUint32(header[8:], flags)
	binary.NativeEndian.PutUint32(header[12:], change)
	return header
}

// end is one end of a veth pair to be made.
type end struct {
	name   string
	index  int
	mac    [6]byte // zero: the kernel's choice
	mtu    int     // 0: 1500
	fd     int     // the namespace, for the inner end
	master int     // a bridge's index, for the outer end
}

// attrs are those both ends have. One queue each way: the default of one per
// CPU costs two RCU grace periods a pair (facts of veth_init_queues).
func (e end) attrs(b *batch) {
	b.text(unix.IFLA_IFNAME, e.name)
	b.u32(unix.IFLA_NUM_TX_QUEUES, 1)
	b.u32(unix.IFLA_NUM_RX_QUEUES, 1)
	if e.mac != [6]byte{} {
		b.attr(unix.IFLA_ADDRESS, e.mac[:])
	}
	if e.mtu != 0 {
		b.u32(unix.IFLA_MTU, uint32(e.mtu))
	}
}

// addVeth makes a pair in place with one message: each end named, with its
// index and MAC, in its own namespace. The outer end is up at once; the inner
// cannot be (veth_open wants a peer: ENOTCONN).
func (b *batch) addVeth(outer, inner end, what func() string) {
	b.begin(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, ifinfo(outer.index, unix.IFF_UP, unix.IFF_UP))
	outer.attrs(b)
	if outer.master != 0 {
		b.u32(unix.IFLA_MASTER, uint32(outer.master))
	}
	info := b.nest(unix.IFLA_LINKINFO)
	b.text(unix.IFLA_INFO_KIND, "veth")
	data := b.nest(unix.IFLA_INFO_DATA)
	peer := b.nest(vethInfoPeer, ifinfo(inner.index, 0, 0)...)
	inner.attrs(b)
	b.u32(unix.IFLA_NET_NS_FD, uint32(inner.fd))
	peer()
	data()
	info()
	b.end(what)
}

func (b *batch) addBridge(name string, index, mtu int, what func() string) {
	b.begin(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, ifinfo(index, 0, 0))
	b.text(unix.IFLA_IFNAME, name)
	if mtu != 0 {
		b.u32(unix.IFLA_MTU, uint32(mtu))
	}
	info := b.nest(unix.IFLA_LINKINFO)
	b.text(unix.IFLA_INFO_KIND, "bridge")
	info()
	b.end(what)
}

// setLink brings an interface up or down.
func (b *batch) setLink(index int, up bool, what func() string) {
	flags := uint32(0)
	if up {
		flags = unix.IFF_UP
	}
	b.begin(unix.RTM_NEWLINK, 0, ifinfo(index, flags, unix.IFF_UP))
	b.end(what)
}

// getLink asks about one interface. Unlike a dump it makes the kernel finish
// the link's pending carrier work (rtnl_getlink, linkwatch_sync_dev; about 6.8
// and newer): without it the end that went up first may still drop.
func (b *batch) getLink(index int, what func() string) {
	b.begin(unix.RTM_GETLINK, 0, ifinfo(index, 0, 0))
	b.u32(unix.IFLA_EXT_MASK, extSkipStats)
	b.end(what)
}

const extSkipStats = 1 << 3 // RTEXT_FILTER_SKIP_STATS, linux/rtnetlink.h

func (b *batch) addAddr(index int, prefix netip.Prefix, what func() string) {
	b.setAddr(index, prefix, unix.NLM_F_CREATE|unix.NLM_F_EXCL, what)
}

func (b *batch) replaceAddr(index int, prefix netip.Prefix, what func() string) {
	b.setAddr(index, prefix, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, what)
}

func (b *batch) setAddr(index int, prefix netip.Prefix, flags uint16, what func() string) {
	header := make([]byte, unix.SizeofIfAddrmsg)
	header[0], header[1] = family(prefix.Addr()), byte(prefix.Bits())
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	b.begin(unix.RTM_NEWADDR, flags, header)
	b.addr(unix.IFA_LOCAL, prefix.Addr())
	b.addr(unix.IFA_ADDRESS, prefix.Addr())
	if prefix.Addr().Is6() {
		b.u32(unix.IFA_FLAGS, unix.IFA_F_NODAD)
	} else if prefix.Bits() < 31 && index != loIndex {
		b.addr(unix.IFA_BROADCAST, broadcast(prefix))
	}
	b.end(what)
}

// getAddr asks about one IPv6 address of an interface; EADDRNOTAVAIL where it has none
// such. (IPv4 knows dumps only.)
func (b *batch) getAddr(index int, addr netip.Addr, what func() string) {
	header := make([]byte, unix.SizeofIfAddrmsg)
	header[0] = family(addr)
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	b.begin(unix.RTM_GETADDR, 0, header)
	b.addr(unix.IFA_ADDRESS, addr)
	b.end(what)
}

// forgetNeighbour removes a neighbour entry; ENOENT where there is none.
func (b *batch) forgetNeighbour(index int, addr netip.Addr, what func() string) {
	header := make([]byte, unix.SizeofNdMsg)
	header[0] = family(addr)
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	b.begin(unix.RTM_DELNEIGH, 0, header)
	b.addr(unix.NDA_DST, addr)
	b.end(what)
}

// broadcast is the last address of an IPv4 prefix (RFC 919).
func broadcast(prefix netip.Prefix) netip.Addr {
	last := prefix.Addr().As4()
	bits := binary.BigEndian.Uint32(last[:]) | (1<<(32-prefix.Bits()) - 1)
	binary.BigEndian.PutUint32(last[:], bits)
	return netip.AddrFrom4(last)
}

func family(a netip.Addr) byte {
	if a.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

var routeTypes = map[topo.RouteType]byte{
	topo.Unicast:     unix.RTN_UNICAST,
	topo.Blackhole:   unix.RTN_BLACKHOLE,
	topo.Unreachable: unix.RTN_UNREACHABLE,
	topo.Prohibit:    unix.RTN_PROHIBIT,
}

// addRoute adds a planned route; index is an interface's by its name, 0 for none.
func (b *batch) addRoute(route topo.RoutePlan, index func(string) int, what func() string) {
	b.setRoute(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, route, index, what)
}

// setRoute adds a route, replaces what there is to its destination, or deletes it.
func (b *batch) setRoute(kind, flags uint16, route topo.RoutePlan, index func(string) int, what func() string) {
	header := make([]byte, unix.SizeofRtMsg)
	header[0], header[1] = family(route.To.Addr()), byte(route.To.Bits())
	header[4], header[5], header[7] = unix.RT_TABLE_UNSPEC, unix.RTPROT_STATIC, routeTypes[route.Type]
	header[6] = unix.RT_SCOPE_UNIVERSE
	if route.Type == topo.Unicast && !route.Via.IsValid() && len(route.Hops) == 0 && route.To.Addr().Is4() {
		header[6] = unix.RT_SCOPE_LINK
	}
	b.begin(kind, flags, header)
	table := route.Table
	if table == 0 {
		table = unix.RT_TABLE_MAIN
	}
	b.u32(unix.RTA_TABLE, uint32(table))
	if route.To.Bits() > 0 {
		b.addr(unix.RTA_DST, route.To.Addr())
	}
	if route.Via.IsValid() {
		b.addr(unix.RTA_GATEWAY, route.Via)
	}
	if out := index(route.Dev); out != 0 {
		b.u32(unix.RTA_OIF, uint32(out))
	}
	if route.Source.IsValid() {
		b.addr(unix.RTA_PREFSRC, route.Source)
	}
	if len(route.Hops) > 0 {
		b.attr(unix.RTA_MULTIPATH, hops(route.Hops, index))
	}
	if route.MTU != 0 {
		metrics := b.nest(unix.RTA_METRICS)
		if route.LockMTU {
			b.u32(unix.RTAX_LOCK, 1<<unix.RTAX_MTU)
		}
		b.u32(unix.RTAX_MTU, uint32(route.MTU))
		metrics()
	}
	if route.Metric != 0 {
		b.u32(unix.RTA_PRIORITY, uint32(route.Metric))
	}
	b.end(what)
}

// hops are those of a multipath route: a struct rtnexthop and its gateway each.
func hops(ways []topo.HopPlan, index func(string) int) []byte {
	all := new(batch)
	for _, hop := range ways {
		from := len(all.buf)
		all.buf = append(all.buf, make([]byte, unix.SizeofRtNexthop)...)
		all.addr(unix.RTA_GATEWAY, hop.Via)
		binary.NativeEndian.PutUint16(all.buf[from:], uint16(len(all.buf)-from))
		all.buf[from+3] = byte(hop.Weight - 1)
		binary.NativeEndian.PutUint32(all.buf[from+4:], uint32(index(hop.Dev)))
	}
	return all.buf
}

// describe makes the text of a request only when it is needed.
func describe(format string, args ...any) func() string {
	return func() string { return fmt.Sprintf(format, args...) }
}
