package probes

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
)

// taken is what tells whether a node's sockets have taken a datagram, by what it was before.
type taken struct {
	sockets []inspect.Listener // of the probe's protocol
	counted map[string]uint64  // by the kernel, see inspect.KernelCounters
}

func takenOf(ns inspect.Namespace, p Probe) (t taken, err error) {
	var s inspect.State
	lite := p.kind.protocol == wire.UDPLite
	if err := ns.Fill(&s, inspect.Want{Datagrams: !lite, Lite: lite}); err != nil {
		return t, err
	}
	t.sockets = slices.Concat(s.UDP, s.UDPLite)
	err = ns.Do(func() (err error) {
		t.counted, err = kernelCounts()
		return err
	})
	return t, err
}

// takenBefore is that of all nodes that may hear, before anything is sent.
func (h *hearing) takenBefore() error {
	h.before = map[*harness.Node]taken{}
	for _, node := range h.from.Lab().Nodes() {
		if node == h.from {
			continue
		}
		err := look(node, func(ns inspect.Namespace) (err error) {
			h.before[node], err = takenOf(ns, h.Probe)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// untaken says why no socket at a port has taken what came in since, though there is one for it: its kernel
// has counted none that was read, and no more waits to be read; "" where one may have. Which group a socket
// is in, and from whom it takes what is sent to that, a kernel does not tell.
func (h *hearing) untaken(now, before taken, port uint16) string {
	by := func(counter string) uint64 { return now.counted[counter] - before.counted[counter] }
	datagrams := "Udp"
	if h.Probe.kind.protocol == wire.UDPLite {
		datagrams = "UdpLite"
	}
	unread, dropped := now.atPort(port)
	unreadBefore, droppedBefore := before.atPort(port)
	switch {
	case unread > unreadBefore, by(datagrams+".InDatagrams")+by(datagrams+"6.InDatagrams") > 0:
		return ""
	case dropped > droppedBefore:
		return fmt.Sprintf("its socket at port %d drops it: %s", port, watch.DropReason(by))
	case by("TcpExt.IPReversePathFilter") > 0:
		return "it came to it, and rp_filter there did not accept it: there is no route back to who sent it"
	case h.Addr.IsMulticast():
		const why = "it is not in the group itself (IP_MULTICAST_ALL=0), or takes nothing from who sent it (IP_ADD_SOURCE_MEMBERSHIP, IP_BLOCK_SOURCE)"
		return fmt.Sprintf("it came to it, and its socket at port %d did not take it: %s", port, why)
	}
	return fmt.Sprintf("it came to it, and its kernel gave it to no socket at port %d", port)
}

// atPort are the bytes that wait to be read at a port, and what its sockets have dropped.
func (t taken) atPort(port uint16) (unread, dropped uint32) {
	for _, l := range t.sockets {
		if l.Port == port {
			unread, dropped = unread+l.Unread, dropped+l.Drops
		}
	}
	return unread, dropped
}
