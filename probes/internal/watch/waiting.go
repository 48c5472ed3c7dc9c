package watch

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/probes/internal/account"
	"github.com/vishvananda/netlink"
)

// Waiting says, in words, where a packet of the request waits while another of it has come
// to its end: for a neighbour, in a queue, in a program's hands. It may be sent on
// later. Else it is one of the answer. It is "" where none does.
func (w *Watch) Waiting(t *Trail) (request, answer string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	w.countLost()
	a := w.accountOf(t)
	return w.waitingOf(a, account.Request), w.waitingOf(a, account.Answer)
}

func (w *Watch) waitingOf(a account.Account, role account.Role) string {
	var packets []account.Packet
	for _, p := range a.Packets {
		if p.Role == role && !p.Stray {
			packets = append(packets, p)
		}
	}
	ended := func(p account.Packet) bool {
		return p.End.Kind == account.Dropped || p.End.Kind == account.Died && !p.Copy
	}
	if len(packets) < 2 || !slices.ContainsFunc(packets, ended) {
		return ""
	}
	named, _ := a.Primary(role)
	another := slices.ContainsFunc(packets, func(p account.Packet) bool { return ended(p) && !p.Copy })
	for _, p := range packets {
		if end := named.End; !another && !p.Copy && p.End.Kind == end.Kind && p.End.Node == end.Node && p.End.Interface == end.Interface {
			continue // the cause tells of it: but for copies nothing else has ended
		}
		what := fmt.Sprintf("a packet of the %s", role)
		if p.Copy {
			what = fmt.Sprintf("a copy of the %s", role)
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
