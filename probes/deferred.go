package probes

import (
	"net/netip"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// A listener with TCP_DEFER_ACCEPT (tcp(7); that of Apache, and of nginx with "deferred") has a
// connection only when data has come: its kernel drops the last packet of each handshake, counts
// that, and the asker has the connection alone till then.

// unheld ends a probe whose connection no node has, and says why where that can be told.
func (a *asking) unheld(s *socket) error {
	at, err := a.deferred(s)
	if err != nil {
		return err
	}
	a.inVain(handshake)
	if at != nil {
		a.result.defers = true
		a.result.detail = "the connection was made, and " + at.node.Name() +
			" waits for data before it takes it (TCP_DEFER_ACCEPT, as it counts in TcpExt.TCPDeferAcceptDrop)"
	}
	return nil
}

// converseDeferred says what is to be said to a listener that waits for it, which then has the
// connection.
func (a *asking) converseDeferred(s *socket, at *holder) error {
	a.heldBy(at.node)
	if err := a.converse(s); err != nil || a.result.Outcome != Answered {
		return err
	}
	has, err := a.look(s)
	if err == nil && (has == nil || !sameNode(has.node, at.node)) {
		a.unproven()
		a.result.held = false
	}
	return err
}

// deferred is the node that was to have the connection, if its listener waits for data first;
// else nil.
func (a *asking) deferred(s *socket) (found *holder, err error) {
	own, err := unix.Getsockname(s.fd)
	if err != nil {
		return nil, err
	}
	at := netip.AddrPortFrom(a.addr, a.probe.port)
	for _, node := range a.expected() {
		switch waits, err := waitsForData(node, at, addrPortOf(own)); {
		case err != nil:
			return nil, err
		case waits:
			return &holder{node: node, port: at.Port(), deferred: true}, nil
		}
	}
	return nil, nil
}

// waitsForData says whether a node has half a connection of these ends, though its listener has
// room for it, and drops what makes connections whole without data.
func waitsForData(node *harness.Node, local, remote netip.AddrPort) (waits bool, err error) {
	err = look(node, func(ns inspect.Namespace) error {
		half, err := inspect.HalfMade(local, remote)
		if err != nil || !half {
			return err
		}
		counted, err := kernelCounts()
		if err != nil || counted["TcpExt.TCPDeferAcceptDrop"] == 0 {
			return err
		}
		var s inspect.State
		err = ns.Fill(&s, inspect.Want{Listeners: true})
		waits = err == nil && !slices.ContainsFunc(s.Listeners, func(l inspect.Listener) bool { return l.Port == local.Port() && l.Waiting > l.Most })
		return err
	})
	return waits, err
}
