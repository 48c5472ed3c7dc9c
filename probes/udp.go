package probes

import (
	"golang.org/x/sys/unix"
)

// udp asks with a datagram; fd is a socket made for it, or -1.
func (a *asking) udp(fd int) error {
	if fd < 0 {
		var err error
		if fd, err = openIn(a.from, a.addr.Is6(), unix.SOCK_DGRAM, 0); err != nil {
			return err
		}
	}
	s, err := watch(fd)
	if err != nil {
		return err
	}
	defer s.close()
	nonce := a.nonce()
	request := make([]byte, a.probe.payload())
	copy(request, makeRequest(nonce))
	a.begin()
	if err := unix.Connect(fd, a.sockaddr()); err != nil {
		return a.refusedLocally(err)
	}
	if metItself(fd) {
		return a.notConnected(unix.ECONNREFUSED)
	}
	if err := unix.Send(fd, request, 0); err != nil {
		if q, ok := readQueue(fd); ok {
			a.failed(q)
			return nil
		}
		return a.refusedLocally(err)
	}
	var failure error
	done, err := a.wait(s, false, func() (done bool) {
		done, failure = a.udpAnswer(s, nonce)
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

// udpAnswer reads the answer or the ICMP error. Any answer counts: the socket
// is connected, so it came from the address that was asked.
func (a *asking) udpAnswer(s *socket, nonce [nonceSize]byte) (done bool, err error) {
	buf := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(s.fd, buf, unix.MSG_DONTWAIT)
		if err == nil {
			a.end(Answered, a.addr)
			if by, ok := signer(buf[:n], nonce); ok {
				a.signed(by)
			}
			return true, nil
		}
		if q, ok := readQueue(s.fd); ok {
			a.failed(q)
			return true, nil
		}
		if err == unix.EAGAIN {
			return false, nil
		}
		if err != unix.EINTR && !isQueued(err) {
			return true, err
		}
	}
}
