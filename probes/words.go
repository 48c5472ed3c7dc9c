package probes

import (
	"bytes"
	"fmt"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

// words are what is said over a probe's connection, in order: the last, and those before it.
// They are never changed, so that probes are values.
type words struct {
	before *words
	send   string         // "" for what is awaited
	await  string         // "" where an expression says it
	match  *regexp.Regexp // nil where bytes say it
}

// Send sends bytes over a TCP probe's connection, after what was said before.
func (p Probe) Send(text string) Probe {
	p.words = &words{before: p.words, send: text}
	return p
}

// Await waits for bytes from the target of a TCP probe, after those that were awaited before:
// the probe is answered only where all come that it awaits, within its bound. Others may come
// before them. What came instead is in the Result's text.
func (p Probe) Await(text string) Probe {
	p.words = &words{before: p.words, await: text}
	return p
}

// AwaitMatch is Await for what an expression matches. It is tried whenever more has come.
func (p Probe) AwaitMatch(expression *regexp.Regexp) Probe {
	p.words = &words{before: p.words, match: expression}
	return p
}

// inOrder are all of them, the first first.
func (w *words) inOrder() (all []*words) {
	for ; w != nil; w = w.before {
		all = append([]*words{w}, all...)
	}
	return all
}

// String is what is said, as it would be declared.
func (w *words) String() (text string) {
	for _, w := range w.inOrder() {
		switch {
		case w.send != "":
			text += fmt.Sprintf(".Send(%q)", w.send)
		default:
			text += ".Await(" + w.wanted() + ")"
		}
	}
	return text
}

// wanted is what is awaited, for a message.
func (w *words) wanted() string {
	if w.match != nil {
		return "a match of " + w.match.String()
	}
	return fmt.Sprintf("%q", w.await)
}

// check says what is wrong with them.
func (w *words) check(k *kind) error {
	for _, w := range w.inOrder() {
		switch {
		case k.socket != unix.SOCK_STREAM:
			return fmt.Errorf("Send and Await are for TCP: %s has no connection to say something over", k.name)
		case w.send == "" && w.await == "" && w.match == nil:
			return fmt.Errorf("Send and Await of nothing: say what")
		}
	}
	return nil
}

// end is where what is awaited ends in what has come; -1 where it has not.
func (w *words) end(heard []byte) int {
	if w.match != nil {
		if at := w.match.FindIndex(heard); at != nil {
			return at[1]
		}
		return -1
	}
	if at := bytes.Index(heard, []byte(w.await)); at >= 0 {
		return at + len(w.await)
	}
	return -1
}

// converse says what is to be said over a connection, and waits for what is awaited. Who has
// it is known.
func (a *asking) converse(s *socket) error {
	if a.probe.words == nil {
		return nil
	}
	c := conversation{fd: s.fd}
	for _, w := range a.probe.words.inOrder() {
		if w.send != "" {
			if n, err := unix.SendmsgN(s.fd, []byte(w.send), nil, nil, unix.MSG_NOSIGNAL); err != nil {
				return a.hungUp(err)
			} else if n < len(w.send) {
				return fmt.Errorf("send %d bytes: there is room for %d: say less at once", len(w.send), n)
			}
			continue
		}
		done, err := a.wait(s, false, func() bool { return c.hear(w) })
		switch {
		case err != nil || a.ctx.Err() != nil:
			return firstError(a.ctx.Err(), err)
		case done && !c.ended:
			continue
		case c.failure != nil && len(c.heard) == 0:
			return a.hungUp(c.failure)
		}
		a.inVain(fmt.Sprintf("the connection was made, %s, where %s was awaited", c.instead(), w.wanted()))
		return nil
	}
	a.result.RTT = time.Since(a.start)
	return nil
}

// conversation is what has come over a connection since what was awaited last.
type conversation struct {
	fd      int
	heard   []byte
	ended   bool
	failure error
}

// hear takes what is there, up to the end of what is awaited, and says whether that has come, or
// no more is to come.
func (c *conversation) hear(w *words) bool {
	var buf [4096]byte
	for {
		if end := w.end(c.heard); end >= 0 {
			c.heard = c.heard[end:]
			return true
		}
		n, _, err := unix.Recvfrom(c.fd, buf[:], unix.MSG_DONTWAIT)
		switch {
		case err == unix.EAGAIN:
			return false
		case err == unix.EINTR:
			continue
		case err != nil || n == 0:
			c.ended, c.failure = true, err
			return true
		}
		c.heard = append(c.heard, buf[:n]...)
	}
}

// instead says what came.
func (c *conversation) instead() string {
	const most = 200
	text := "nothing came"
	if len(c.heard) > 0 {
		text = fmt.Sprintf("%q came", c.heard[:min(len(c.heard), most)])
	}
	if c.ended {
		text += ", and its end"
	}
	return text
}
