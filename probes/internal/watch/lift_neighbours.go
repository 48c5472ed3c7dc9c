package watch

import (
	"errors"
	"fmt"

	"github.com/nstest/nstest/harness"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// forgetNeighbours has the nodes of a lab ask for their neighbours once more. What was
// lifted may have stopped a question or its answer, and a kernel that waits for one asks
// again after a second only (retrans_time_ms, RFC 4861, 10): as long as a probe waits.
func forgetNeighbours(lab *harness.Lab) error {
	const learnt = unix.NUD_INCOMPLETE | unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_FAILED
	for _, node := range lab.Nodes() {
		entries, err := node.Netlink().NeighList(0, netlink.FAMILY_ALL)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return fmt.Errorf("node %s: list neighbours: %w", node, err)
		}
		for _, n := range entries {
			if n.State&learnt == 0 || n.IP.IsMulticast() {
				continue
			}
			if err := node.Netlink().NeighDel(&n); err != nil && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("node %s: forget neighbour %s: %w", node, n.IP, err)
			}
		}
	}
	return nil
}
