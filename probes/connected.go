package probes

import (
	"net/netip"
	"slices"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// A connection that the asker has is no yes: who shook hands may have been somebody on
// the way, and what opens it may be all that gets through. A responder is to sign, and so
// data passes both ways; where there is none, the connection is looked for in the nodes'
// own lists of sockets.

const handshake = "the connection was made, and no node has it"

// connected ends a probe whose connection is made, as the asker sees it.
func (a *asking) connected(s *socket) error {
	a.end(Answered, a.addr)
	a.result.detail = handshake // as long as nothing more is known
	if !a.isDue() {
		at, err := a.holder(s)
		switch {
		case err != nil:
			return err
		case at == nil && len(a.expected()) == 0 && a.from.Attached():
			a.result.detail = ""
			return nil // it may be of a network that no lab knows
		case at == nil:
			a.inVain(handshake)
			return nil
		case !a.signs(at):
			a.heldBy(at.node)
			return nil
		}
	}
	return a.signature(s)
}

// holder is who has the other end of a connection.
type holder struct {
	node *harness.Node
	port uint16 // its own: translation may have changed the one that was asked
}

// signs says whether a holder is a responder.
func (a *asking) signs(h *holder) bool {
	return isServed(h.node, Probe{kind: a.probe.kind, port: h.port})
}

// heldBy notes who was seen to have the connection.
func (a *asking) heldBy(node *harness.Node) {
	r := &a.result
	r.by, r.By, r.held, r.owners, r.detail = node, node.Name(), true, nil, ""
}

// inVain ends a probe whose connection came to nothing.
func (a *asking) inVain(what string) {
	r := &a.result
	r.by, r.By, r.owners, r.Sender = nil, "", nil, netip.Addr{}
	a.end(Silent, netip.Addr{})
	r.detail = what
}

const (
	// firstLook is when the holder is looked for again, where nobody had the connection
	// at first: its last packet may be on the way.
	firstLook = 5 * time.Millisecond
	// firstDoubt is how long a responder may take before it is looked whether it is one.
	// One that is busy takes longer.
	firstDoubt = 20 * time.Millisecond
	// later is how much longer each pause is than the one before.
	later = 4
)

// holder waits until some node has the other end; nil when none has in time.
func (a *asking) holder(s *socket) (*holder, error) {
	for pause := firstLook; ; pause *= later {
		at, err := a.look(s)
		if at != nil || err != nil || !time.Now().Before(a.deadline) {
			return at, err
		}
		if _, err := a.pause(s, pause, func() bool { return false }); err != nil {
			return nil, err
		}
		if err := a.ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// pause is wait for a time, within the probe's bound.
func (a *asking) pause(s *socket, long time.Duration, try func() bool) (done bool, err error) {
	bound := a.deadline
	defer func() {
		if a.deadline = bound; a.watched != nil && a.watched.over {
			a.deadline = time.Now()
		}
	}()
	if end := time.Now().Add(long); end.Before(bound) {
		a.deadline = end
	}
	return a.wait(s, false, try)
}

// signature asks a responder who it is. Should somebody else have the connection, who
// will not sign, that is the answer.
func (a *asking) signature(s *socket) error {
	nonce := newNonce()
	if err := unix.Send(s.fd, makeRequest(nonce), unix.MSG_NOSIGNAL); err != nil {
		return a.hungUp(err)
	}
	var answer []byte
	var failure error
	buf := make([]byte, 256)
	read := func() bool {
		for {
			n, _, err := unix.Recvfrom(s.fd, buf, unix.MSG_DONTWAIT)
			switch {
			case err == unix.EAGAIN:
				return false
			case err == unix.EINTR:
				continue
			case err != nil || n == 0:
				failure = a.hungUp(err)
				return true
			}
			if answer = append(answer, buf[:n]...); a.signed(answer, nonce) {
				a.result.detail = ""
				return true
			}
		}
	}
	for pause := firstDoubt; ; pause *= later {
		done, err := a.pause(s, pause, read)
		if done || err != nil || a.ctx.Err() != nil {
			return firstError(a.ctx.Err(), failure, err)
		}
		at, err := a.look(s)
		switch {
		case err != nil:
			return err
		case at != nil && !a.signs(at):
			a.heldBy(at.node)
			return nil
		case time.Now().Before(a.deadline):
		case at == nil:
			a.inVain(handshake)
			return nil
		default:
			a.inVain("the connection was made, and no data passed")
			return nil
		}
	}
}

// hungUp ends a probe whose connection ended before a responder's answer came; err is nil
// where the peer closed it.
func (a *asking) hungUp(err error) error {
	const what = "the connection was made, and ended before data passed"
	errno, ok := err.(unix.Errno)
	if !ok {
		a.inVain(what)
		return nil
	}
	failure := a.notConnected(errno)
	a.result.detail = what
	return failure
}

// look looks at the target for the very connection, and then at every node.
func (a *asking) look(s *socket) (*holder, error) {
	own, err := unix.Getsockname(s.fd)
	if err != nil {
		return nil, err
	}
	ours := addrPortOf(own)
	theirs := netip.AddrPortFrom(a.addr, a.probe.port)
	for _, node := range a.expected() {
		var there bool
		err := node.Do(func() (err error) {
			there, err = inspect.Connected(theirs, ours)
			return err
		})
		if err != nil {
			return nil, err
		}
		if there {
			return &holder{node, theirs.Port()}, nil
		}
	}
	nodes := a.nodes()
	lists := make([][]inspect.Connection, len(nodes))
	i := 0
	err = harness.Visit(nodes, func(*harness.Node) (err error) {
		lists[i], err = inspect.Connections()
		i++
		return err
	})
	if err != nil {
		return nil, err
	}
	at, port := findHolder(lists, ours, time.Since(a.start))
	if at < 0 {
		return nil, nil
	}
	return &holder{nodes[at], port}, nil
}

// findHolder finds the other end of ours in the nodes' lists; -1 where it is in none. Where
// its source was translated it is one that was accepted since, and whose other end is
// in no list: it would be that node's own.
func findHolder(lists [][]inspect.Connection, ours netip.AddrPort, age time.Duration) (at int, port uint16) {
	locals := map[netip.AddrPort]bool{}
	for i, list := range lists {
		for _, c := range list {
			if c.Remote == ours && c.Local != ours {
				return i, c.Local.Port()
			}
			locals[c.Local] = true
		}
	}
	const tick = 20 * time.Millisecond // two of the slowest kernel's
	at = -1
	for i, list := range lists {
		for _, c := range list {
			if !c.Accepted || locals[c.Remote] || c.Quiet > age+tick || c.Remote.Addr().Is6() != ours.Addr().Is6() {
				continue
			}
			if c.Remote.Port() == ours.Port() { // translated sources mostly keep it
				return i, c.Local.Port()
			}
			if at < 0 {
				at, port = i, c.Local.Port()
			}
		}
	}
	return at, port
}

// expected are the nodes that are to have the address that is asked: the target, or the
// owners of the address.
func (a *asking) expected() []*harness.Node {
	if a.result.target != nil {
		return []*harness.Node{a.result.target}
	}
	if a.owners != nil {
		return a.owners
	}
	return a.ownersOf(a.addr)
}

// isDue says whether a responder is to sign: one is served where the answer is to come
// from.
func (a *asking) isDue() bool {
	return slices.ContainsFunc(a.expected(), func(n *harness.Node) bool { return isServed(n, a.probe) })
}
