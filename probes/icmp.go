package probes

import (
	"golang.org/x/sys/unix"
)

// icmp asks with one echo request.
func (a *asking) icmp() error {
	shelf := shelfOf(a.from)
	e, err := shelf.borrow(a.from, a.addr.Is6())
	if err != nil {
		return err
	}
	defer shelf.give(e)
	e.clear()
	return a.echo(e)
}

// echo sends a request on a clear socket and waits for what comes of it.
func (a *asking) echo(e *echoes) error {
	a.begin()
	request := e.request(a.probe.payload(), newNonce())
	if len(request)+60 > len(e.buf) { // an IPv4 header has 60 bytes at most
		e.buf = make([]byte, len(request)+60)
	}
	if err := unix.Sendto(e.fd, request, 0, sockaddr(a.addr, 0)); err != nil {
		return a.refusedLocally(err)
	}
	var failure error
	done, err := e.wait(a.ctx, a.deadline, false, func() (done bool) {
		done, failure = a.echoAnswer(e, request)
		return done
	})
	if err != nil || failure != nil {
		return firstError(failure, err)
	}
	if !done {
		return a.silence()
	}
	return nil
}

// echoAnswer reads until it finds the answer, an ICMP error about the request,
// or nothing more.
func (a *asking) echoAnswer(e *echoes, request []byte) (done bool, err error) {
	for {
		n, from, err := unix.Recvfrom(e.fd, e.buf, unix.MSG_DONTWAIT)
		if err == nil {
			if addrOf(from) == a.addr && e.answers(e.buf[:n], request) {
				a.end(Answered, a.addr)
				return true, nil
			}
			continue
		}
		q, more := readQueue(e.fd)
		switch {
		case more && e.about(q, request):
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
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EMSGSIZE, unix.EACCES, unix.EPROTO, unix.ENOPROTOOPT, unix.EOPNOTSUPP:
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
