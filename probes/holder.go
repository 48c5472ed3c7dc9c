package probes

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/watch"
	"golang.org/x/sys/unix"
)

// look looks for who has the connection: under watch, where its very packets were seen to
// come in; else at the target, for its two ends, and then at every node. By the ends alone it
// may be another's, that a proxy on the way has made in the asker's name: that is no yes.
func (a *asking) look(s *socket) (*holder, error) {
	own, err := unix.Getsockname(s.fd)
	if err != nil {
		return nil, err
	}
	ours := addrPortOf(own)
	found := a.followed
	if a.watched == nil {
		found = func() (*holder, error) { return a.there(ours) }
	}
	if at, err := found(); at != nil || err != nil {
		return at, err
	}
	nodes := a.nodes()
	lists, err := connections(nodes)
	if err != nil {
		return nil, err
	}
	at, port, may := findHolder(lists, ours, time.Since(a.start))
	switch {
	case at >= 0 && a.watched == nil:
		return &holder{node: nodes[at], port: port}, nil
	case at >= 0 || may:
		return &holder{}, nil
	}
	return nil, nil
}

// there is the target, or the owner of the address, if it has a connection of these ends.
func (a *asking) there(ours netip.AddrPort) (*holder, error) {
	theirs := netip.AddrPortFrom(a.addr, a.probe.port)
	for _, node := range a.expected() {
		if at, err := hasConnection(node, theirs, ours); at != nil || err != nil {
			return at, err
		}
	}
	return nil, nil
}

// hasConnection is a node, if it has a connection of these ends.
func hasConnection(node *harness.Node, local, remote netip.AddrPort) (at *holder, err error) {
	err = node.Do(func() error {
		there, unread, err := inspect.Connected(local, remote)
		if there {
			at = &holder{node: node, port: local.Port(), unread: unread}
		}
		return err
	})
	return at, err
}

// connections are the lists of nodes.
func connections(nodes []*harness.Node) (lists [][]inspect.Connection, err error) {
	err = harness.Visit(nodes, func(*harness.Node) error {
		list, err := inspect.Connections()
		lists = append(lists, list)
		return err
	})
	return lists, err
}

// followed is the node that a connection under watch was seen to come to, and that has it;
// nil where that is not known, or may be said of several.
func (a *asking) followed() (found *holder, err error) {
	for _, peer := range a.watched.watch.Peers(a.watched.trail) {
		at, err := hasConnection(peer.Node, peer.Local, peer.Remote)
		if err == nil && at == nil {
			at, err = ledThere(peer)
		}
		switch {
		case err != nil:
			return nil, err
		case at == nil:
		case found != nil && !sameNode(found.node, at.node):
			return nil, nil
		default:
			found = at
		}
	}
	return found, nil
}

// ledThere is the node of a peer, if it has led the connection to another port of its own.
func ledThere(peer watch.Peer) (*holder, error) {
	lists, err := connections([]*harness.Node{peer.Node})
	if err != nil {
		return nil, err
	}
	if port, ok := otherEnd(lists[0], peer.Local, peer.Remote, peer.Whole); ok {
		return &holder{node: peer.Node, port: port}, nil
	}
	return nil, nil
}

// otherEnd finds the connection that a packet from remote to local began in a list. Where the
// node itself led it to another port, as a redirect does, its own end is not what the
// packet had: then the whole handshake must have been seen there, and only one can be it.
func otherEnd(list []inspect.Connection, local, remote netip.AddrPort, whole bool) (port uint16, ok bool) {
	others := 0
	for _, c := range list {
		switch {
		case c.Remote != remote:
		case c.Local == local:
			return local.Port(), true
		case c.Accepted:
			port = c.Local.Port()
			others++
		}
	}
	return port, whole && others == 1
}

// findHolder finds the other end of ours in the nodes' lists, whose source is as it was
// sent, at one node alone; else at is -1, and may says whether there are some that it may be:
// of connections that were accepted since, whose other end is in no list, as it is where the
// source was translated, nothing tells which is ours.
func findHolder(lists [][]inspect.Connection, ours netip.AddrPort, age time.Duration) (at int, port uint16, may bool) {
	locals := map[netip.AddrPort]bool{}
	at = -1
	for i, list := range lists {
		for _, c := range list {
			locals[c.Local] = true
			if c.Remote != ours || c.Local == ours {
				continue
			}
			if at >= 0 && at != i {
				return -1, 0, true
			}
			at, port = i, c.Local.Port()
		}
	}
	if at >= 0 {
		return at, port, false
	}
	const tick = 20 * time.Millisecond // two of the slowest kernel's
	for _, list := range lists {
		for _, c := range list {
			if c.Accepted && !locals[c.Remote] && c.Quiet <= age+tick && c.Remote.Addr().Is6() == ours.Addr().Is6() {
				return -1, 0, true
			}
		}
	}
	return -1, 0, false
}
