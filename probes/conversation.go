package probes

import (
	"fmt"
	"strings"
	"time"

	"github.com/nstest/nstest/probes/evidence"
	"golang.org/x/sys/unix"
)

// conversation is what a probe says, and what has come.
type conversation struct {
	fd      int
	again   bool // over a connection that lives: there is no greeting
	asking  *asking
	buf     []byte
	heard   []byte // after what was awaited last; of datagrams, in the last one
	other   []byte // of datagrams before that, in which nothing was that was awaited
	total   int    // bytes that came in all
	ended   bool   // no more is to come
	failure error  // why; nil where the other end closed
	queued  *queued
}

// converse says what is to be said over a connection, and waits for what is awaited.
func (a *asking) converse(s *socket) error {
	if a.probe.words == nil {
		return nil
	}
	const buffer = 16 << 10
	c := conversation{fd: s.fd, asking: a, buf: make([]byte, buffer)}
	missing, err := c.talk(s)
	switch {
	case err != nil:
		return err
	case missing == nil:
		a.result.RTT = time.Since(a.start)
		if arrived, err := a.acknowledged(s); arrived || err != nil {
			return err
		}
	}
	r := &a.result
	r.reached = r.held && a.isTarget(r.by)
	what := "the connection was made, and what was awaited came, but what was sent was not acknowledged: it was said before it was asked for"
	if missing != nil {
		what = fmt.Sprintf("the connection was made, %s, where %s", c.instead(), missing.wanted())
	}
	a.inVain(what)
	switch {
	case c.queued != nil:
		a.failed(*c.queued)
	case c.failure == unix.ECONNRESET:
		err = a.notConnected(unix.ECONNRESET)
	default:
		errno, _ := c.failure.(unix.Errno)
		if c.failure == nil && !c.ended {
			errno = softError(c.fd)
		}
		if errno != 0 && lives(c.fd) {
			err = a.turnedBack(errno)
		}
	}
	r.detail = what
	return err
}

// converseByDatagrams says what is to be said by datagrams, and waits for what is awaited.
func (a *asking) converseByDatagrams(s *socket) error {
	if w := a.watched; w != nil {
		if err := w.watch.Says(w.trail, a.port, a.probe.words.sent()); err != nil {
			return err
		}
	}
	c := conversation{fd: s.fd, asking: a, buf: make([]byte, maxSize)}
	if a.line != nil {
		c.drain()
	}
	missing, err := c.talk(s)
	switch {
	case err != nil:
		return err
	case missing == nil:
		a.end(Answered, a.addr)
		return nil
	case c.queued != nil:
		a.failed(*c.queued)
	case c.failure != nil:
		err = a.refusedLocally(c.failure)
	default:
		err = a.silence()
	}
	if c.total > 0 {
		a.result.replied = true
		a.result.detail = fmt.Sprintf("%s, where %s", c.instead(), missing.wanted())
	}
	return err
}

// talk goes on until all has come that is awaited; else it returns the first word that could
// not be sent, or has not come.
func (c *conversation) talk(s *socket) (missing *words, err error) {
	a := c.asking
	greeted, awaited := !c.again, false
	for _, w := range a.probe.words.inOrder() {
		if greeted = greeted || w.send != ""; !greeted {
			continue
		}
		if w.send != "" {
			if awaited && c.datagrams() { // what has come is no answer to what is sent now
				c.drain()
				c.heard, c.other = nil, nil
			}
			awaited = false
			if !c.say(w.send) {
				return w, nil
			}
			continue
		}
		if err := c.await(s, w); err != nil {
			return nil, err
		}
		if awaited = c.has(w); !awaited {
			return w, a.ctx.Err()
		}
	}
	return nil, nil
}

// await waits for a word. What the kernel was told of a connection that was made before ends it.
func (c *conversation) await(s *socket, w *words) error {
	hear := func() bool { return c.hear(w) }
	if !c.again || c.datagrams() {
		_, err := c.asking.wait(s, false, hear)
		return err
	}
	_, soft, err := c.asking.waitOver(s, hear)
	if soft != 0 {
		c.ended, c.failure = true, soft
	}
	return err
}

// datagrams says whether it is one by datagrams.
func (c *conversation) datagrams() bool { return c.asking.probe.kind.socket == unix.SOCK_DGRAM }

// say sends, and says whether that could be.
func (c *conversation) say(text string) bool {
	if l := c.asking.line; l != nil {
		l.said += len(text)
	}
	n, err := unix.SendmsgN(c.fd, []byte(text), nil, nil, unix.MSG_NOSIGNAL)
	switch {
	case err == nil && n == len(text):
		return true
	case err != nil:
		c.queue()
	}
	c.ended, c.failure = true, err
	return false
}

// queue takes what an ICMP error says.
func (c *conversation) queue() bool {
	if q, ok := readQueue(c.fd); ok {
		c.queued = &q
	}
	return c.queued != nil
}

// has takes what is awaited out of what has come, and says whether it was there.
func (c *conversation) has(w *words) bool {
	end := w.end(c.heard)
	if end < 0 {
		return false
	}
	c.heard, c.other = c.heard[end:], nil
	return true
}

// hear reads what is there, until what is awaited has come, or no more is to come, which it
// says.
func (c *conversation) hear(w *words) bool {
	for c.queued == nil && w.end(c.heard) < 0 && !c.ended {
		if c.total > mostHeard {
			c.ended = true
			break
		}
		n, _, err := unix.Recvfrom(c.fd, c.buf, unix.MSG_DONTWAIT)
		switch {
		case err == nil && c.datagrams():
			c.total += n
			c.other, c.heard = append(c.other, c.heard...), append([]byte(nil), c.buf[:n]...)
		case err == nil && n > 0:
			c.total += n
			c.heard = append(c.heard, c.buf[:n]...)
		case err != nil && (c.datagrams() || err != unix.EAGAIN) && c.queue():
		case err == unix.EAGAIN:
			return false
		case err == unix.EINTR, c.datagrams() && isQueued(err):
		default:
			c.ended, c.failure = true, err
		}
	}
	return true
}

// instead says what came.
func (c *conversation) instead() string {
	const most = 200
	text, all := "nothing came", append(c.other, c.heard...)
	if len(all) > 0 {
		text = fmt.Sprintf("%q came", all[:min(len(all), most)])
	}
	switch {
	case c.total > mostHeard:
		text += fmt.Sprintf(", and more than %d KiB in all", mostHeard>>10)
	case c.failure == unix.ECONNRESET || c.failure == unix.EPIPE:
		text += ", and a reset"
	case c.failure != nil:
		text += ", and " + c.failure.Error()
	case c.ended:
		text += ", and its end"
	}
	return text
}

// unexpected says of a probe that was silent for no other reason that is known, what came in the
// place of what was awaited.
func (a *asking) unexpected(cause evidence.Cause) evidence.Cause {
	r := &a.result
	if (a.probe.words != nil || r.defers) && r.detail != "" && cause.Kind == evidence.Unknown && cause.Node != "" && !strings.Contains(cause.Detail, "Within") {
		cause.Detail = r.detail
	}
	return cause
}
