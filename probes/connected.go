package probes

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// A connection that the asker has is no yes: who shook hands may have been somebody on
// the way, and what opens it may be all that gets through. A responder is to sign, and so
// data passes both ways; where there is none, the connection is looked for in the nodes'
// own lists of sockets.

const (
	handshake = "the connection was made, and no node has a socket for it"
	// untold is said of a connection that several may have.
	untold = "the connection was made, its source was translated on the way, and it was not seen which node has it"
)

// connected ends a probe whose connection is made, as the asker sees it.
func (a *asking) connected(s *socket) error {
	a.end(Answered, a.addr)
	a.result.connected = true
	a.result.detail = handshake // as long as nothing more is known
	if !a.isDue() || a.probe.words != nil {
		at, err := a.holder(s)
		switch {
		case err != nil:
			return err
		case at != nil && at.deferred:
			return a.converseDeferred(s, at)
		case (at == nil || at.node == nil) && a.mayBeOutside():
			a.result.detail = ""
			return a.converse(s) // it may be of a network that no lab knows
		case at == nil:
			return a.unheld(s)
		case at.node == nil && a.watched != nil:
			a.inVain(untold)
			return nil
		case at.node == nil: // a watch will tell
			r := &a.result
			r.by, r.By, r.owners, r.detail = nil, "", nil, untold
			return a.converse(s)
		case a.probe.words != nil:
			a.heldBy(at.node)
			return a.converse(s)
		case !a.signs(at):
			a.heldBy(at.node)
			return nil
		}
	}
	return a.signature(s)
}

// mayBeOutside says whether the address may be of a network that no lab knows.
func (a *asking) mayBeOutside() bool { return len(a.expected()) == 0 && a.from.Attached() }

// holder is who has the other end of a connection.
type holder struct {
	node *harness.Node // nil where it may be one of several
	port uint16        // its own: translation may have changed the one that was asked
	// unread are the bytes that wait there to be read, where it was asked for this very
	// connection.
	unread int
	// deferred is true where it waits for data before it takes the connection.
	deferred bool
}

// signs says whether a holder is a responder.
func (a *asking) signs(h *holder) bool {
	return h.node != nil && isServed(h.node, Probe{kind: a.probe.kind, port: h.port})
}

// heldBy notes who has the connection: under watch that was seen.
func (a *asking) heldBy(node *harness.Node) {
	r := &a.result
	r.by, r.By, r.held, r.owners, r.detail = node, node.Name(), a.watched != nil, nil, ""
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
	// firstDoubt is how long a responder may take before it is looked who has the connection.
	firstDoubt = 20 * time.Millisecond
	// later is how much longer each pause is than the one before.
	later = 4
)

// holder waits until some node has the other end; nil when none has in time. Where it may
// be one of several, it is left for a watch to tell.
func (a *asking) holder(s *socket) (*holder, error) {
	for pause := firstLook; ; pause *= later {
		at, err := a.look(s)
		if at == nil && err == nil && pause > firstLook && a.probe.words.begins() {
			at, err = a.deferred(s)
		}
		told := at != nil && (at.node != nil || a.watched == nil && pause > firstLook)
		if a.mayBeOutside() && pause > firstLook {
			told = true // there is nobody to wait for
		}
		if told || err != nil || !time.Now().Before(a.deadline) {
			return at, err
		}
		if a.probe.words != nil && ready(s.fd, unix.POLLRDHUP) {
			return a.parted(), nil
		}
		if _, err := a.pause(s, pause, func() bool { return false }); err != nil {
			return nil, err
		}
		if err := a.ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// parted is who had a connection that the other end has reset already, perhaps with all said that
// was to be said: under watch, the one node at which its handshake was seen to be made.
func (a *asking) parted() (at *holder) {
	if a.watched == nil {
		return &holder{} // a watch will tell
	}
	for _, peer := range a.watched.watch.Peers(a.watched.trail) {
		switch {
		case !peer.Whole:
		case at != nil && !sameNode(at.node, peer.Node):
			return nil
		default:
			at = &holder{node: peer.Node, port: peer.Local.Port()}
		}
	}
	return at
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

// signature asks a responder who it is, and waits for that until the probe's bound: who has
// the connection may be a program on the way, which hands on to the responder. Without
// it, and where somebody had the connection who will not sign, that is the answer.
func (a *asking) signature(s *socket) error {
	nonce := newNonce()
	if a.line != nil {
		a.line.said += requestSize
	}
	if err := unix.Send(s.fd, makeRequest(nonce), unix.MSG_NOSIGNAL); err != nil {
		return a.hungUp(s, err)
	}
	var had *harness.Node // the last who had it and will not sign
	r := reading{asking: a, fd: s.fd, nonce: nonce}
	for pause := firstDoubt; ; pause *= later {
		done, err := a.pause(s, pause, r.read)
		if a.ctx.Err() != nil || err != nil || done && !r.ended {
			return firstError(a.ctx.Err(), err)
		}
		at, err := a.look(s)
		if err != nil {
			return err
		}
		if at != nil && at.node != nil {
			had = nil
			if !a.signs(at) {
				had = at.node
			}
		}
		switch {
		case !r.ended && time.Now().Before(a.deadline):
			continue
		case had != nil:
			a.unsigned(had)
		case r.ended:
			return a.hungUp(s, r.failure)
		case at == nil || at.node == nil:
			a.inVain(handshake)
		case at.unread > 0:
			a.inVain(fmt.Sprintf("the connection was made, and %s (Serve) has not read in %s what was sent over it, since this machine is busy: give the probe more time (Within)",
				at.node.Name(), a.probe.bound()))
		default:
			if errno := softError(s.fd); errno != 0 {
				return a.hungUp(s, errno)
			}
			a.inVain("the connection was made, and no data passed")
		}
		return nil
	}
}

// reading is what comes over a connection until a responder has signed.
type reading struct {
	*asking
	fd      int
	nonce   [nonceSize]byte
	answer  []byte
	ended   bool // it came to no signature any more
	failure error
}

// read takes what is there, and says whether no more is to come.
func (r *reading) read() bool {
	var buf [256]byte
	for {
		n, _, err := unix.Recvfrom(r.fd, buf[:], unix.MSG_DONTWAIT)
		switch {
		case err == unix.EAGAIN:
			return false
		case err == unix.EINTR:
			continue
		case err != nil || n == 0:
			r.ended, r.failure = true, err
			return true
		}
		if r.answer = append(r.answer, buf[:n]...); r.line != nil {
			r.mine()
		}
		if r.signed(r.answer, r.nonce) {
			r.result.detail = ""
			return true
		}
	}
}

// unsigned ends a probe whose connection somebody else has, in whose place a responder
// was to sign.
func (a *asking) unsigned(by *harness.Node) {
	a.heldBy(by)
	a.result.unsigned = true
	a.result.RTT = time.Since(a.start)
	a.result.detail = "without the signature that was due"
}

// hungUp ends a probe whose connection ended before a responder's answer came; err is nil
// where the peer closed it.
func (a *asking) hungUp(s *socket, err error) error {
	const what = "the connection was made, and ended before data passed"
	errno, ok := err.(unix.Errno)
	if !ok {
		a.inVain(what)
		return nil
	}
	if lives(s.fd) {
		err = a.turnedBack(errno)
		a.result.detail = "the connection was made, and no data passed"
		return err
	}
	err = a.notConnected(errno)
	a.result.detail = what
	return err
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
