package probes

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/watch"
	"golang.org/x/sys/unix"
)

// enoughNeighbours refuses a survey that would fill half of the neighbour
// table of a family. It is one for the machine, and when it is full other
// namespaces fail as well, with ENOBUFS.
func enoughNeighbours(tasks []*task, limit func(v6 bool) (int, bool)) error {
	for _, v6 := range []bool{false, true} {
		limit, known := limit(v6)
		if !known {
			continue
		}
		if need := neighbours(tasks, v6); need > limit/2 {
			return fmt.Errorf("%d neighbour entries are needed, and half of the machine's table has %d:"+
				" raise sysctl net.ipv%d.neigh.default.gc_thresh3, or ask fewer pairs at once", need, limit/2, version(v6))
		}
	}
	return nil
}

// neighbourLimit is how many entries the table holds. It is only to be seen in
// the machine's own namespace, which this process is in.
func neighbourLimit(v6 bool) (limit int, known bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/sys/net/ipv%d/neigh/default/gc_thresh3", version(v6)))
	if err != nil {
		return 0, false // another namespace: the kernel does not say
	}
	limit, err = strconv.Atoi(strings.TrimSpace(string(text)))
	return limit, err == nil
}

// crowded is an error where the neighbour table is full, and the probe ended in a way in which it
// then may: err is that of asking. What is seen of it meanwhile blames somebody who is innocent.
func (a *asking) crowded(err error) error {
	if !a.result.maybeCrowded(err) || !a.from.NeighbourTableFull(a.addr.Is6()) {
		return nil
	}
	return &crowded{version(a.addr.Is6()), err}
}

// watchOf is the watch of labs. It sees by the loopback that packets are stamped, for which an older
// kernel (5.10) wants an entry of IPv4's table as well.
func watchOf(from *harness.Node, labs ...*harness.Lab) (*watch.Watch, error) {
	w, err := watch.Of(labs...)
	if errors.Is(err, unix.EINVAL) && from.NeighbourTableFull(false) {
		return nil, &crowded{4, err}
	}
	return w, err
}

// crowded is a probe's error where the neighbour table is full.
type crowded struct {
	version int
	err     error // what the kernel said, or nil
}

func (c *crowded) Error() string {
	text := fmt.Sprintf("the table of IPv%d neighbours is full, which is one for all namespaces of the machine, so nothing is said of the network:"+
		" raise sysctl net.ipv%[1]d.neigh.default.gc_thresh3 on the machine (1024 unless it was set), or ask fewer pairs at once", c.version)
	if c.err != nil {
		text += " (" + c.err.Error() + ")"
	}
	return text
}

func (c *crowded) Unwrap() error { return c.err }

// maybeCrowded says whether a probe ended so that a neighbour may have been missing, at the asker
// or on the way.
func (r *Result) maybeCrowded(err error) bool {
	switch {
	case err != nil:
		return errors.Is(err, unix.ENOBUFS)
	case r.Cause != nil:
		return r.Cause.Kind == evidence.Neighbour || r.Cause.Kind == evidence.Unknown || r.Errno == unix.EINVAL
	}
	return r.Outcome == Silent || r.Outcome == Unsent && r.Errno == unix.EINVAL
}

// crowdedAny is an error where the table is full and any of a survey's probes may have been lost by
// that; err is that of asking.
func crowdedAny(tasks []*task, err error) error {
	for _, v6 := range []bool{false, true} {
		i := slices.IndexFunc(tasks, func(t *task) bool { return t.addr.Is6() == v6 && t.result.maybeCrowded(err) })
		if i < 0 {
			continue
		}
		if crowded := tasks[i].crowded(err); crowded != nil {
			return crowded
		}
	}
	return err
}

func version(v6 bool) int {
	if v6 {
		return 6
	}
	return 4
}

// entry is a row of the neighbour table: who has it, and about whom. The zero
// Addr is the gateway of the other.
type entry struct {
	lab       *harness.Lab
	segment   string
	at, about netip.Addr
}

// neighbours counts the entries of a family that the tasks make: one at each end
// for every two ports of a segment that talk. A pair of different segments has
// one at each end, and one at each end's gateway; those of the routers between
// are few.
func neighbours(tasks []*task, v6 bool) int {
	seen := map[entry]bool{}
	for _, t := range tasks {
		if t.addr.Is6() != v6 {
			continue
		}
		lab, gateway := t.from.Lab(), netip.Addr{}
		segment, own, near := onSegment(t.from, t.addr)
		if near {
			seen[entry{lab, segment, own, t.addr}] = true
			seen[entry{lab, segment, t.addr, own}] = true
			continue
		}
		for _, end := range []netip.Addr{own, t.addr} {
			seen[entry{lab, "", end, gateway}] = true
			seen[entry{lab, "", gateway, end}] = true
		}
	}
	return len(seen)
}

// onSegment is the segment on which a node sees an address, with the node's own
// there; where the address is behind a gateway, false, with the node's first of
// the family. What a node that was attached alone sees is not known: any address.
func onSegment(node *harness.Node, addr netip.Addr) (segment string, own netip.Addr, near bool) {
	if node.Alone() {
		return "", netip.Addr{}, true
	}
	plan, _ := node.Lab().Plan().Node(node.Name())
	for _, port := range plan.Devices {
		for _, prefix := range port.Addrs {
			if prefix.Contains(addr) {
				return port.Segment, prefix.Addr(), true
			}
			if !own.IsValid() && prefix.Addr().Is6() == addr.Is6() {
				own = prefix.Addr()
			}
		}
	}
	return "", own, false
}
