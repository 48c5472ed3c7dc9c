package inspect

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Delivered is where connection tracking has what was sent from one end to another: where translation gave it
// another destination, that one. False is what it does not know: it was not delivered, nor sent on, or is not tracked.
func (n Namespace) Delivered(protocol uint8, from, to netip.AddrPort) (at netip.AddrPort, is bool, err error) {
	family := netlink.InetFamily(unix.AF_INET)
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	flows, err := n.Handle.ConntrackTableList(netlink.ConntrackTable, family)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return at, false, fmt.Errorf("list connections: %w", err)
	}
	for _, f := range flows {
		src, _ := netip.AddrFromSlice(f.Forward.SrcIP)
		dst, _ := netip.AddrFromSlice(f.Forward.DstIP)
		now, _ := netip.AddrFromSlice(f.Reverse.SrcIP)
		if f.Forward.Protocol == protocol && from == netip.AddrPortFrom(src.Unmap(), f.Forward.SrcPort) && to == netip.AddrPortFrom(dst.Unmap(), f.Forward.DstPort) {
			return netip.AddrPortFrom(now.Unmap(), f.Reverse.SrcPort), true, nil
		}
	}
	return at, false, nil
}
