package probes

import (
	"cmp"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

// aimless says that a result is about an address that no node has, by the plan or now,
// that nobody answers for, and that was not seen translated into another: what ended the
// probe says nothing of anybody. It is "" otherwise. An attached node may ask whom no
// lab knows.
func (r Result) aimless() string {
	if r.from == nil || r.target != nil || r.Outcome == Answered || r.from.Attached() || r.Addr.IsLoopback() || translated(r.Timeline, r.Addr.WithZone("")) {
		return ""
	}
	lab, addr := r.from.Lab(), r.Addr.WithZone("")
	if len(lab.Plan().Owners(addr)) > 0 {
		return ""
	}
	all := map[*harness.Node][]liveAddr{}
	for _, node := range lab.Nodes() {
		local, err := answersFor(node, addr)
		if err == nil && !local {
			all[node], err = liveAddrs(node)
		}
		if err != nil {
			return err.Error()
		}
		if local || slices.ContainsFunc(all[node], func(l liveAddr) bool { return l.addr == addr }) {
			return ""
		}
	}
	text := fmt.Sprintf("no node of lab %q has %s, and nobody answers for it", lab.Name(), r.Addr)
	if near := nearest(lab.Nodes(), all, addr); len(near) > 0 {
		text += "; the nearest are " + strings.Join(near, ", ")
	}
	return text
}

// translated says whether a request was seen with another destination than was asked.
func translated(seen evidence.Timeline, addr netip.Addr) bool {
	return slices.ContainsFunc(seen, func(s evidence.Sighting) bool {
		return s.Role == evidence.Request && s.Destination.IsValid() && s.Destination.WithZone("") != addr
	})
}

// answersFor says whether a node's kernel takes an address for its own, as it does where
// a local route has a whole prefix.
func answersFor(node *harness.Node, addr netip.Addr) (local bool, err error) {
	err = look(node, func(ns inspect.Namespace) (err error) {
		local, err = isLocal(ns, addr)
		return err
	})
	return local, err
}

// nearest are the three addresses, of those that nodes have now, that have most leading
// bits in common with one.
func nearest(nodes []*harness.Node, all map[*harness.Node][]liveAddr, addr netip.Addr) (names []string) {
	type near struct {
		common int
		name   string
	}
	var found []near
	for _, node := range nodes {
		for _, live := range all[node] {
			if live.addr.Is6() == addr.Is6() && live.addr.IsLinkLocalUnicast() == addr.IsLinkLocalUnicast() {
				found = append(found, near{commonBits(live.addr, addr), fmt.Sprintf("%s (%s)", live.addr, node)})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b near) int { return cmp.Compare(b.common, a.common) })
	for _, f := range found[:min(3, len(found))] {
		names = append(names, f.name)
	}
	return names
}

// commonBits is how many leading bits two addresses of a family have in common.
func commonBits(a, b netip.Addr) (common int) {
	other := b.AsSlice()
	for i, x := range a.AsSlice() {
		if different := x ^ other[i]; different != 0 {
			return common + bits.LeadingZeros8(different)
		}
		common += 8
	}
	return common
}
