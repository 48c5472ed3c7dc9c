package probes

import (
	"golang.org/x/sys/unix"
)

// tcp asks by connecting; fd is a socket made for it, or -1.
func (a *asking) tcp(fd int) error {
	if fd < 0 {
		var err error
		if fd, err = openIn(a.from, a.addr.Is6(), unix.SOCK_STREAM, 0); err != nil {
			return err
		}
	}
	// Closing sends a reset: no connection lingers in TIME_WAIT, at neither end.
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	s, err := watch(fd)
	if err != nil {
		return err
	}
	defer s.close()
	if err := a.watched.bind(a, fd); err != nil {
		return err
	}
	a.begin()
	switch err := unix.Connect(fd, a.sockaddr()); err {
	case nil, unix.EINPROGRESS:
	default:
		return a.refusedLocally(err)
	}
	done, err := a.wait(s, true, func() bool { return ready(fd, unix.POLLOUT) })
	if err != nil {
		return err
	}
	if !done {
		return a.silence()
	}
	return a.settled(s)
}

// settled ends the probe when its connection is made, or has failed.
func (a *asking) settled(s *socket) error {
	errno, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if q, ok := readQueue(s.fd); ok {
		a.failed(q)
		return nil
	}
	if errno != 0 {
		return a.notConnected(unix.Errno(errno))
	}
	if metItself(s.fd) {
		return a.notConnected(unix.ECONNREFUSED)
	}
	a.end(Answered, a.addr)
	for _, lab := range a.labs {
		if lab != nil && isServed(lab, kindTCP, a.probe.port) {
			return a.signature(s)
		}
	}
	return nil
}

// metItself says whether a socket is connected to itself: to a port of its own
// node that nobody had, and that the kernel then chose as the socket's own.
func metItself(fd int) bool {
	own, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	peer, err := unix.Getpeername(fd)
	return err == nil && addrPortOf(own) == addrPortOf(peer)
}

// ready says whether poll(2) reports an event, or an error, now.
func ready(fd int, events int16) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1
}

// notConnected ends the probe with a connection's error that no ICMP error is
// behind: a reset, whoever sent it, or the kernel's own.
func (a *asking) notConnected(errno unix.Errno) error {
	a.result.Errno = errno
	switch errno {
	case unix.ECONNREFUSED, unix.ECONNRESET:
		a.end(Refused, a.addr)
		return nil
	case unix.ETIMEDOUT:
		return a.silence()
	}
	return a.refusedLocally(errno)
}

// signature asks a connected responder who it is. One that is none, and says
// nothing, leaves the answer unsigned.
func (a *asking) signature(s *socket) error {
	nonce := newNonce()
	if err := unix.Send(s.fd, makeRequest(nonce), unix.MSG_NOSIGNAL); err != nil {
		return nil // it hung up: connecting was its answer
	}
	var answer []byte
	buf := make([]byte, 256)
	_, err := a.wait(s, false, func() bool {
		for {
			n, _, err := unix.Recvfrom(s.fd, buf, unix.MSG_DONTWAIT)
			if err == unix.EAGAIN {
				return false
			}
			if err != nil || n == 0 {
				return true
			}
			answer = append(answer, buf[:n]...)
			if by, ok := signer(answer, nonce); ok {
				a.signed(by)
				return true
			}
		}
	})
	return firstError(a.ctx.Err(), err)
}
