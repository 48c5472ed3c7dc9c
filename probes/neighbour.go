package probes

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/nstest/nstest/harness"
)

// enoughNeighbours refuses a survey that would fill half of the neighbour
// table. It is one for the machine, and when it is full other namespaces fail as
// well, with ENOBUFS. The limit is only to be seen in the machine's own
// namespace, which this process is in.
func enoughNeighbours(tasks []*task) error {
	const file = "/proc/sys/net/ipv%d/neigh/default/gc_thresh3"
	for _, v := range []int{4, 6} {
		text, err := os.ReadFile(fmt.Sprintf(file, v))
		if err != nil {
			continue // another namespace: the kernel does not say
		}
		limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			continue
		}
		if need := neighbours(tasks, v == 6); need > limit/2 {
			return fmt.Errorf("%d neighbour entries are needed, and half of the machine's table has %d:"+
				" raise sysctl net.ipv%d.neigh.default.gc_thresh3, or ask fewer pairs at once", need, limit/2, v)
		}
	}
	return nil
}

// neighbours counts the entries: one at each end for every two ports of a
// segment that talk. A pair of different segments uses those of the routers
// between, so it counts for the asker's own gateway only.
func neighbours(tasks []*task, v6 bool) int {
	type pair struct {
		from *harness.Node
		to   netip.Addr
	}
	seen := map[pair]bool{}
	for _, t := range tasks {
		if t.addr.Is6() != v6 {
			continue
		}
		to := t.addr
		if !onSegment(t.from, to) {
			to = netip.Addr{}
		}
		seen[pair{t.from, to}] = true
	}
	return len(seen)
}

// onSegment says whether a node has the address on one of its segments.
func onSegment(node *harness.Node, addr netip.Addr) bool {
	plan, ok := node.Lab().Plan().Node(node.Name())
	if !ok {
		return true
	}
	for _, port := range plan.Ports {
		for _, prefix := range port.Addrs {
			if prefix.Contains(addr) {
				return true
			}
		}
	}
	return false
}
