package probes

import (
	"bytes"
	"fmt"
	"time"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// release closes a socket, unless it is to be kept for a line.
func (a *asking) release(s *socket) {
	if a.line == nil {
		s.close()
		return
	}
	a.line.socket, a.line.port = s, a.port
}

// keep makes ready what is kept, of a line that is being opened.
func (a *asking) keep(fd int) error {
	if a.line == nil {
		return nil
	}
	// What is lost is sent again every 0.2 seconds or so (tcp(7)), and not more and more
	// seldom from the first time on; later every second, where the kernel can (6.15). It is given up
	// when those who repeat less would (tcp_retries2): else by then, after 13 seconds. What is new
	// does not wait for an answer to what is not lost.
	const thinLinearTimeouts, mostBetween = 16, 44 // TCP_THIN_LINEAR_TIMEOUTS, TCP_RTO_MAX_MS: linux/tcp.h
	const second, quarter = int(time.Second / time.Millisecond), int(15 * time.Minute / time.Millisecond)
	if err := unix.SetsockoptInt(fd, unix.SOL_TCP, mostBetween, second); err != nil && err != unix.ENOPROTOOPT {
		return fmt.Errorf("repeat what is lost soon: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_USER_TIMEOUT, quarter); err != nil {
		return fmt.Errorf("repeat what is lost for long: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_TCP, thinLinearTimeouts, 1); err != nil {
		return fmt.Errorf("repeat what is lost: %w", err)
	}
	return unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_NODELAY, 1)
}

// speak asks once more over a connection.
func (a *asking) speak() error {
	a.begin()
	s, l := a.line.socket, a.line
	if a.watched != nil {
		a.watched.confirms = false // by another connection nothing is confirmed
	}
	forgetErrors(s.fd)
	if a.probe.words != nil {
		return a.speakWords(s)
	}
	nonce := newNonce()
	l.said += requestSize
	err := unix.Send(s.fd, makeRequest(nonce), unix.MSG_NOSIGNAL)
	if err != nil && lives(s.fd) { // an error of what was said before; nothing was sent
		err = unix.Send(s.fd, makeRequest(nonce), unix.MSG_NOSIGNAL)
	}
	if err != nil {
		return a.brokenOff(err)
	}
	r := reading{asking: a, fd: s.fd, nonce: nonce}
	done, soft, err := a.waitOver(s, r.read)
	switch {
	case err != nil:
		return err
	case soft != 0:
		return a.turnedBack(soft)
	case r.ended:
		return a.brokenOff(r.failure)
	case !done:
		return a.silence()
	}
	a.answeredOver(a.result.by, a.result.By) // who has signed
	return nil
}

// speakWords says words once more, from the first that is sent on.
func (a *asking) speakWords(s *socket) error {
	const buffer = 16 << 10
	c := conversation{fd: s.fd, asking: a, buf: make([]byte, buffer), again: true}
	c.drain()
	missing, err := c.talk(s)
	if err != nil {
		return err
	}
	arrived, what := false, ""
	if missing == nil {
		if arrived, err = a.acknowledged(s); err != nil {
			return err
		}
		what = "what was awaited came, and what was sent before it was not acknowledged: it was the answer to an earlier question"
	} else {
		what = fmt.Sprintf("%s, where %s", c.instead(), missing.wanted())
	}
	switch {
	case arrived:
		a.answeredOver(a.line.by, a.line.by.Name())
		return nil
	case c.queued != nil:
		a.failed(*c.queued)
	case c.ended:
		err = a.brokenOff(c.failure)
	default:
		err = a.silence()
	}
	if c.total > 0 && missing != nil {
		a.result.detail, a.result.reached = what, a.watched != nil && a.isTarget(a.line.by)
	}
	if missing == nil {
		a.result.detail = what
	}
	return err
}

// acknowledged says whether the other end has acknowledged all that was sent, and waits for that.
// What comes may be the answer to an earlier question, which was lost on its way till now, or what
// a service says before it is asked.
func (a *asking) acknowledged(s *socket) (bool, error) {
	for pause := firstLook; ; pause *= 2 {
		left, err := unix.IoctlGetInt(s.fd, unix.SIOCOUTQ)
		if err != nil || left == 0 || !time.Now().Before(a.deadline) || a.ctx.Err() != nil {
			return left == 0, firstError(err, a.ctx.Err())
		}
		if _, err := a.pause(s, pause, func() bool { return false }); err != nil {
			return false, err
		}
	}
}

// answeredOver ends a probe that was answered over a connection.
func (a *asking) answeredOver(by *harness.Node, name string) {
	a.end(Answered, a.addr)
	a.proven(by, name)
}

// brokenOff ends a probe whose connection has ended; err is nil where the other end closed it.
func (a *asking) brokenOff(err error) error {
	if q, ok := readQueue(a.line.socket.fd); ok {
		a.failed(q)
		return nil
	}
	if errno, ok := err.(unix.Errno); ok && lives(a.line.socket.fd) {
		return a.turnedBack(errno)
	}
	switch err {
	case nil:
		a.line.ended = "the other end had closed it"
		if err := a.silence(); err != nil {
			return err
		}
		a.result.detail = a.line.ended
		return nil
	case unix.EPIPE:
		err = unix.ECONNRESET
	}
	if errno, ok := err.(unix.Errno); ok {
		return a.notConnected(errno)
	}
	return err
}

// drain takes away what an earlier question has left.
func (c *conversation) drain() {
	for {
		n, _, err := unix.Recvfrom(c.fd, c.buf, unix.MSG_DONTWAIT)
		if _, more := readQueue(c.fd); !more && (err != nil && !isQueued(err) || n == 0 && !c.datagrams()) {
			return
		}
	}
}

// mine leaves of signed answers, a line each, those after the ones to earlier requests.
func (r *reading) mine() {
	for {
		line, rest, whole := bytes.Cut(r.answer, []byte("\n"))
		if _, signs := signer(append(bytes.Clone(line), '\n'), r.nonce); !whole || signs {
			return
		}
		r.answer = rest
	}
}
