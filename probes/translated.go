package probes

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
)

// mostTranslated bounds how many addresses that no node has are asked.
const mostTranslated = 16

// translatedAddrs are addresses by which a target may be reached that no node has: a rule on
// the way, or of the target, gives what is sent there another destination.
func translatedAddrs(from *harness.Node, to Target) (found []liveAddr, err error) {
	var at []*harness.Node
	if !from.Attached() {
		at = onTheWay(from, to)
	}
	slices.Reverse(at) // the target's own first
	legacy := map[*harness.Node]bool{}
	err = harness.Visit(at, func(node *harness.Node) error {
		legacy[node] = len(inspect.LegacyPrograms()) > 0
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for the tables of iptables-legacy: %w", err)
	}
	for _, node := range at {
		addrs, err := translatedBy(node, legacy[node])
		if err != nil {
			return nil, err
		}
		for _, addr := range addrs {
			known := slices.ContainsFunc(found, func(l liveAddr) bool { return l.addr == addr })
			if !known && len(found) < mostTranslated && isUnicast(addr) && len(from.Lab().Plan().Owners(addr)) == 0 {
				found = append(found, liveAddr{addr: addr})
			}
		}
	}
	return found, nil
}

func isUnicast(addr netip.Addr) bool {
	return addr.IsGlobalUnicast() && addr != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
