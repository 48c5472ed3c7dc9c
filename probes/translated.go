package probes

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
)

// mostTranslated bounds how many addresses of others, or of nobody, are asked.
const mostTranslated = 16

// meetings are the nodes whose rules a probe may meet, the target's own first, found when they are
// first wanted.
type meetings struct {
	from *harness.Node
	to   Target
	met  []meeting
	err  error
	once sync.Once
}

func (m *meetings) all() ([]meeting, error) {
	m.once.Do(func() { m.met, m.err = meetingsOf(m.from, m.to) })
	return m.met, m.err
}

func meetingsOf(from *harness.Node, to Target) (met []meeting, err error) {
	var at []*harness.Node
	if !from.Attached() {
		at = onTheWay(from, to)
	}
	slices.Reverse(at)
	legacy := map[*harness.Node]bool{}
	err = harness.Visit(at, func(node *harness.Node) error {
		legacy[node] = len(inspect.LegacyPrograms()) > 0
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for the tables of iptables-legacy: %w", err)
	}
	for _, node := range at {
		translates, err := translatedBy(node, legacy[node])
		if err != nil {
			return nil, err
		}
		met = append(met, meeting{node, translates})
	}
	return met, nil
}

// translatedAddrs are addresses by which a target may be reached that are not its own: a rule
// on the way, or of the target, gives what is sent there another destination. Nobody has
// them, or another node than the asker; of one whose rules name no address, as those that
// forward a port do, they are its own.
func translatedAddrs(from *harness.Node, to Target, at *meetings) (found []liveAddr, err error) {
	met, err := at.all()
	if err != nil {
		return nil, err
	}
	add := func(addr netip.Addr) {
		known := slices.ContainsFunc(found, func(l liveAddr) bool { return l.addr == addr })
		if !known && len(found) < mostTranslated && isUnicast(addr) && !isAtAnEnd(from, to, addr) {
			found = append(found, liveAddr{addr: addr})
		}
	}
	for _, m := range met {
		for _, addr := range m.translates.Addrs {
			add(addr)
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
