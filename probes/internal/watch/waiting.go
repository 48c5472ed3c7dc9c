package watch

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/probes/internal/account"
	"github.com/vishvananda/netlink"
)

// Waiting says, in words, where a packet of the request waits while another of it has come
// to its end: for a neighbour, in a queue, in a program's hands. It may be sent on
// later. It is "" where none does.
func (w *Watch) Waiting(t *Trail) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	w.countLost()
	var requests []account.Packet
	for _, p := range w.accountOf(t).Packets {
		if p.Role == account.Request && !p.Stray {
			requests = append(requests, p)
		}
	}
	ended := func(p account.Packet) bool {
		return p.End.Kind == account.Dropped || p.End.Kind == account.Died && !p.Copy
	}
	if len(requests) < 2 || !slices.ContainsFunc(requests, ended) {
		return ""
	}
	for _, p := range requests {
		what := "a packet of the request"
		if p.Copy {
			what = "a copy of the request"
		}
		point := w.byLabel[p.End.Node]
		switch {
		case p.End.Kind == account.Waiting:
			return fmt.Sprintf("%s still waits at %s/%s", what, p.End.Node, p.End.Interface)
		case p.End.Kind == account.Taken && !p.End.Seen:
			return fmt.Sprintf("%s was %s at %s", what, p.End.Words(), p.End.Node)
		case p.End.Kind == account.Died && p.Copy && point != nil:
			if why := point.waits(); why != "" {
				return fmt.Sprintf("%s came to %s, where %s", what, p.End.Node, why)
			}
		}
	}
	return ""
}

// waits says for what packets may wait at a node at this moment.
func (p *point) waits() string {
	neighbours, err := p.node.Netlink().NeighList(0, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Sprintf("it cannot be told whether it waits: %v", err)
	}
	for _, n := range neighbours {
		if n.State&netlink.NUD_INCOMPLETE != 0 {
			return fmt.Sprintf("packets wait for %s to tell its MAC address", n.IP)
		}
	}
	if _, err = p.blindSpots(); err == nil && p.queues {
		var queues []string
		if queues, err = p.blind.Waiting(); len(queues) > 0 {
			return queues[0]
		}
	}
	if err != nil {
		return fmt.Sprintf("it cannot be told whether it waits: %v", err)
	}
	return ""
}
