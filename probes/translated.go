package probes

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/probes/internal/watch"
)

// mostTranslated is how many addresses of others, or of nobody, are asked before it is looked
// which of them nothing tells apart.
const mostTranslated = 16

// meetings are the nodes whose rules a probe may meet, the target's own first, found when they are
// first wanted.
type meetings func() ([]meeting, error)

func meetingsOf(from *harness.Node, to Target) (met []meeting, err error) {
	var at []*harness.Node
	if !from.Attached() {
		at = onTheWay(from, to)
	}
	slices.Reverse(at)
	for _, node := range at {
		legacy, err := watch.LegacyPrograms(node)
		if err != nil {
			return nil, err
		}
		translates, err := translatedBy(node, len(legacy) > 0)
		if err != nil {
			return nil, err
		}
		met = append(met, meeting{node: node, translates: translates})
	}
	if len(met) == 0 {
		return nil, nil
	}
	flows, err := flowsAt(from.Lab(), at)
	if err != nil {
		return nil, err
	}
	met[0].flows = flows
	met[0].translates.Addrs = append(slices.Clone(met[0].translates.Addrs), addrsByFlows(flows)...)
	return met, nil
}

// translatedAddrs are addresses by which a target may be reached that are not its own: a rule
// on the way, or of the target, gives what is sent there another destination. Nobody has
// them, or another node than the asker; of one whose rules name no address, as those that
// forward a port do, they are its own.
func translatedAddrs(from *harness.Node, to Target, at meetings, by dividers) (found []liveAddr, err error) {
	met, err := at()
	if err != nil {
		return nil, err
	}
	ofUse := func(addr netip.Addr) bool { return isUnicast(addr) && !isAtAnEnd(from, to, addr) }
	var addrs []netip.Addr
	add := func(addr netip.Addr) {
		if ofUse(addr) && !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	for _, m := range met {
		for _, addr := range m.translates.Addrs {
			add(addr)
		}
		for _, r := range m.translates.Ranges {
			all, err := by()
			if err != nil {
				return nil, err
			}
			for _, addr := range r.OneOfEach(all, ofUse) {
				add(addr)
			}
		}
		if !m.translates.Any || m.node == from || m.node == nodeOf(to) {
			continue
		}
		own, err := liveAddrs(m.node)
		if err != nil {
			return nil, err
		}
		for _, l := range own {
			add(l.addr)
		}
	}
	if len(addrs) > mostTranslated { // of those that nothing tells apart one is enough
		all, err := by()
		if err != nil {
			return nil, err
		}
		if addrs = rules.Unlike(addrs, all); len(addrs) > mostParts {
			return nil, fmt.Errorf("rules on the way to %s translate %d addresses that they, or routes, tell apart, more than the %d that are asked: name the addresses that are meant", to, len(addrs), mostParts)
		}
	}
	for _, addr := range addrs {
		found = append(found, liveAddr{addr: addr})
	}
	return found, nil
}

// isAtAnEnd says whether an address is planned for the asker or the target, which is asked
// at its own anyhow.
func isAtAnEnd(from *harness.Node, to Target, addr netip.Addr) bool {
	owners := from.Lab().Plan().Owners(addr)
	return slices.ContainsFunc(owners, func(name string) bool { return name == from.Name() || name == nodeOf(to).Name() })
}

func isUnicast(addr netip.Addr) bool {
	return addr.IsGlobalUnicast() && addr != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
