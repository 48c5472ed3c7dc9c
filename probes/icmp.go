package probes

import (
	"context"

	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// ICMP asks with an echo request (RFC 792, RFC 4443).
func ICMP() Probe { return Probe{kind: icmpKind} }

// Every kernel answers it by itself.
var icmpKind = &kind{
	name:      "icmp",
	protocol:  wire.ICMP,
	ask:       (*asking).icmp,
	framed:    (*asking).framed,
	fragments: true,
	together:  func(ctx context.Context, tasks []*task) error { return askRounds(ctx, rounds(tasks)) },
	silence:   silentAfterLeaving,
}

// icmp asks with one echo request.
func (a *asking) icmp() error {
	if a.line != nil {
		return a.echoOver(a.line)
	}
	shelf := shelfOf(a.from)
	e, err := shelf.borrow(a.from, a.addr.Is6(), a.source)
	if err != nil {
		return a.refusedLocally(err)
	}
	err = a.echo(e)
	if err != nil || a.result.Outcome == Silent {
		e.spent = true // an answer or an error may yet come
	}
	shelf.give(e)
	return err
}

// echoOver asks with the id that a line keeps.
func (a *asking) echoOver(l *line) (err error) {
	if l.echoes == nil {
		if l.echoes, err = shelfOf(a.from).borrow(a.from, a.addr.Is6(), a.source); err != nil {
			return a.refusedLocally(err)
		}
	}
	return a.echo(l.echoes)
}

// echo sends a request and waits for what comes of it. What an earlier one left
// (answers that came twice, errors) has another id and nonce.
func (a *asking) echo(e *echoes) error {
	a.result.nonce = a.nonce()
	request := e.request(a.probe.payload(), a.result.nonce)
	to := a.sockaddr()
	a.begin()
	if err := e.send(request, to, e.forget); err != nil {
		return a.refusedLocally(err)
	}
	return a.await(e.socket, func() (done bool, err error) { return a.echoAnswer(e, request) })
}

// echoAnswer reads until it finds the answer, an ICMP error about the request,
// or nothing more.
func (a *asking) echoAnswer(e *echoes, request []byte) (done bool, err error) {
	for {
		packet, from, err := e.receive()
		if err == nil {
			if from == a.addr && e.answers(packet, request) {
				a.end(Answered, a.addr)
				return true, nil
			}
			continue
		}
		q, more := readQueue(e.fd)
		switch {
		case more && q.fatal() && e.about(q, request):
			a.failed(q)
			return true, nil
		case more:
			continue
		case err == unix.EAGAIN:
			return false, nil
		case err == unix.EINTR || isQueued(err):
			continue // fetched by this read; the entry was taken, or is not ours
		}
		return true, err
	}
}

// isQueued says whether a read's error only announces an entry of the error queue.
func isQueued(err error) bool {
	switch err {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EMSGSIZE, unix.EACCES, unix.EPROTO, unix.ENOPROTOOPT,
		unix.EOPNOTSUPP, unix.EHOSTDOWN, unix.ENONET, unix.EREMOTEIO: // icmp_err_convert, ping_err
		return true
	}
	return false
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
