package probes

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

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

// Send sends bytes to the target of a TCP or UDP probe, after what was said and awaited before:
// over TCP at most 1,000 in all, over UDP a datagram each time. The last word is always one that
// is awaited, since nothing else shows that what was sent arrived; over TCP the target has to
// acknowledge it as well, for a service may say what is awaited before it is asked.
func (p Probe) Send(text string) Probe {
	p.words = &words{before: p.words, send: text}
	return p
}

// Await waits for bytes from the target of a TCP or UDP probe, after those that were awaited
// before: the probe is answered only where all come that it awaits, within its bound. Others may
// come before them; over UDP, one datagram has all of them. What came instead is in the
// Result's text.
func (p Probe) Await(text string) Probe {
	p.words = &words{before: p.words, await: text}
	return p
}

// AwaitMatch is Await for what an expression matches. It is tried whenever more has come: one
// that ends in .* may match the beginning of what comes. Bytes that are no UTF-8 are one character
// each, U+FFFD.
func (p Probe) AwaitMatch(expression *regexp.Regexp) Probe {
	p.words = &words{before: p.words, match: expression}
	return p
}

// inOrder are all of them, the first first.
func (w *words) inOrder() (all []*words) {
	for ; w != nil; w = w.before {
		all = append(all, w)
	}
	slices.Reverse(all)
	return all
}

// begins says whether the asker is to say the first of them.
func (w *words) begins() bool {
	all := w.inOrder()
	return len(all) > 0 && all[0].send != ""
}

// sent are those that are sent.
func (w *words) sent() (all []string) {
	for _, w := range w.inOrder() {
		if w.send != "" {
			all = append(all, w.send)
		}
	}
	return all
}

// String is what is said, as it would be declared.
func (w *words) String() string {
	var text strings.Builder
	for _, w := range w.inOrder() {
		switch {
		case w.send != "":
			fmt.Fprintf(&text, ".Send(%q)", w.send)
		case w.match != nil:
			fmt.Fprintf(&text, ".AwaitMatch(%q)", w.match)
		default:
			fmt.Fprintf(&text, ".Await(%q)", w.await)
		}
	}
	return text.String()
}

// wanted is what was to come, or to be sent, for a message.
func (w *words) wanted() string {
	switch {
	case w.send != "":
		return fmt.Sprintf("%q was to be sent", w.send)
	case w.match != nil:
		return fmt.Sprintf("a match of %q was awaited", w.match)
	}
	return fmt.Sprintf("%q was awaited", w.await)
}

const (
	// mostSent bounds what is sent over a connection, in bytes: a watch knows its packets by
	// their sequence numbers, and has room for 1,024 of each.
	mostSent = 1000
	// mostHeard bounds what is read of an answer, in bytes.
	mostHeard = 256 << 10
)

// check says what is wrong with them.
func (p Probe) checkWords() error {
	if p.words == nil {
		return nil
	}
	all, size, most := p.words.inOrder(), 0, mostSent
	for _, w := range all {
		switch {
		case w.send == "" && w.await == "" && w.match == nil:
			return errors.New("Send and Await of nothing: say what")
		case w.match != nil && w.match.MatchString(""):
			return fmt.Errorf("AwaitMatch(%q): it matches where nothing has come: say what is to come", w.match)
		}
		size += len(w.send)
		if p.kind.socket == unix.SOCK_DGRAM {
			size, most = len(w.send), maxSize
		}
		if size > most {
			return fmt.Errorf("Send of %d bytes: there is room for %d", size, most)
		}
	}
	switch {
	case p.kind.socket == 0:
		return fmt.Errorf("Send and Await are for TCP and UDP: a service has to say something, and %s has none", p.kind.name)
	case p.size != 0:
		return errors.New("Size and Send: what is sent has its own size")
	case all[len(all)-1].send != "":
		return errors.New("nothing is awaited after Send, so that nothing would show that it arrived: say what is to come back (Await)")
	case p.kind.socket == unix.SOCK_DGRAM && all[0].send == "":
		return errors.New("Await comes before Send, and over UDP nobody speaks who was not asked: say first what is sent (Send)")
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
