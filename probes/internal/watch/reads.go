package watch

import (
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

// Reads says whether a program at the target gets a request like the trail's, which again
// asks once more: the kernel counts what is read, and what waits to be read. Of one that
// nobody answers this tells a service that says nothing from what drops it unseen.
func (w *Watch) Reads(t *Trail, again func() (*Trail, error)) bool {
	heard := Heard{Read: true}
	c := w.Explain(t, heard)
	if c.Kind != evidence.NoAnswer {
		return false
	}
	return w.tryAgain(&try{
		trail: t, heard: heard, first: c, again: again, moved: confirming(c, t.Flow), mayArrive: func(*Trail) bool { return true },
	})
}

// waits says whether more waits to be read at a try's port than before, which no other of the
// batch can have sent.
func (w *Watch) waits(t *try, batch []*try, before, after counts) bool {
	port, own := w.ownPort(t, batch)
	return t.heard.Read && after.unread[t.at][port] > before.unread[t.at][port] && own
}

// ownPort is the port that a try's request was for, and whether no other of the batch can have
// sent anything there.
func (w *Watch) ownPort(t *try, batch []*try) (port uint16, own bool) {
	port = w.portAt(t.second, t.first.Node)
	return port, !slices.ContainsFunc(batch, func(u *try) bool {
		return u != t && u.at == t.at && (u.second == nil || w.portAt(u.second, u.first.Node) == port)
	})
}

// listens are the bytes that wait at the UDP ports of the node for whoever is to read them, for on
// a busy machine a program may take long to get its turn, and what its sockets have dropped; lite
// asks for UDP-Lite's too.
func (p *point) listens(lite bool) (unread, dropped map[uint16]uint32, err error) {
	var state inspect.State
	ns, err := NamespaceOf(p.node)
	if err == nil {
		err = ns.Fill(&state, inspect.Want{Datagrams: true, Listeners: true, Lite: lite})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list sockets of %s: %w", p.node.Name(), err)
	}
	unread, dropped = map[uint16]uint32{}, map[uint16]uint32{}
	for _, l := range slices.Concat(state.UDP, state.UDPLite, state.Listeners) {
		unread[l.Port] += l.Unread
		dropped[l.Port] += l.Drops
	}
	return unread, dropped, nil
}

// portAt is the port that the request was for where it came in at a node.
func (w *Watch) portAt(t *Trail, node string) uint16 {
	port := t.Flow.Port
	for _, s := range w.Timeline(t) {
		if s.Role == evidence.Request && s.Node == node && s.Direction == evidence.In {
			port = s.DestinationPort
		}
	}
	return port
}
