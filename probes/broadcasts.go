package probes

import (
	"slices"

	"github.com/nstest/nstest/harness"
)

// routedPairs are the broadcast addresses of the target's links that a router there passes on
// (bc_forwarding): who is on no such link may ask all on it as well. They do not decide.
func routedPairs(from *harness.Node, to Target) (pairs []pair, err error) {
	node := nodeOf(to)
	plan := node.Lab().Plan()
	its, _ := plan.Node(node.Name())
	own, _ := plan.Node(from.Name())
	at, only := to.(harness.Endpoint)
	for _, device := range its.Devices {
		if _, near := onLink(plan, own, device.Segment); near || device.Segment == "" || only && at.Segment != device.Segment {
			continue
		}
		for _, prefix := range device.Addrs {
			p := pair{to: broadcastOf(prefix), aside: true, group: true}
			if !prefix.Addr().Is4() || p.to == everybody || slices.Contains(pairs, p) {
				continue
			}
			passed, err := passesBroadcasts(node, device.Segment)
			if err != nil {
				return nil, err
			}
			if passed {
				pairs = append(pairs, p)
			}
		}
	}
	return pairs, nil
}

// passesBroadcasts says whether a router on a target's link was told to send on what comes from
// elsewhere for all there. Without that of all interfaces none does (IN_DEV_BFORWARD).
func passesBroadcasts(target *harness.Node, segment string) (bool, error) {
	lab := target.Lab()
	plan := lab.Plan()
	for _, node := range lab.Nodes() {
		its, _ := plan.Node(node.Name())
		if its == nil || node == target || len(its.Devices) == 1 {
			continue
		}
		if _, there := onLink(plan, its, segment); !there {
			continue
		}
		value, err := node.Sysctl("net.ipv4.conf.all.bc_forwarding")
		if err != nil || value == "1" {
			return err == nil, err
		}
	}
	return false, nil
}
