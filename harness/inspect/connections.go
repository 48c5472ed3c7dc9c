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
	flows, err := n.Handle.ConntrackTableList(netlink.ConntrackTable, netlink.InetFamily(family(to.Addr())))
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return at, false, fmt.Errorf("list connections: %w", err)
	}
	for _, f := range flows {
		src, dst := netip.AddrPortFrom(addrOf(f.Forward.SrcIP), f.Forward.SrcPort), netip.AddrPortFrom(addrOf(f.Forward.DstIP), f.Forward.DstPort)
		if f.Forward.Protocol == protocol && from == src && to == dst {
			return netip.AddrPortFrom(addrOf(f.Reverse.SrcIP), f.Reverse.SrcPort), true, nil
		}
	}
	return at, false, nil
}
