package harness

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// known has the small machines of nodes that run commands know the lab as it is by now: its
// names in /etc/hosts, unless somebody wrote there, and namespaces at /run/netns. What does
// not work there is told, and fails no change.
func (l *Lab) known(was, next *layout) {
	old, now := hostsOf(was.nodes, was.plan), hostsOf(next.nodes, next.plan)
	for _, node := range was.nodes {
		node.mu.Lock()
		started := node.launcher != nil
		node.mu.Unlock()
		if !started || next.byName[node.name] != node {
			continue
		}
		err := node.launch(func() error {
			for _, gone := range was.nodes {
				if next.byName[gone.name] == nil {
					_ = unix.Unmount("/run/netns/"+dotted(gone.name), unix.MNT_DETACH)
					_ = os.Remove("/run/netns/" + dotted(gone.name))
				}
			}
			for _, other := range next.nodes {
				if was.byName[other.name] == nil && len(next.nodes) <= maxNamed {
					if err := other.ground.mountAt("/run/netns/" + dotted(other.name)); err != nil {
						return at(err, "namespace of %s", other.name)
					}
				}
			}
			text, err := os.ReadFile("/etc/hosts")
			if err != nil || string(text) != old {
				return err
			}
			return os.WriteFile("/etc/hosts", []byte(now), 0o644)
		})
		if err != nil {
			l.lacks("node %s knows the lab as it was before it was changed: %s", node.name, strings.TrimSpace(err.Error()))
		}
	}
}
