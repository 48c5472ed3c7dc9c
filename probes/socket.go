package probes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a non-blocking socket that the runtime's poller watches: waiting
// for it costs no thread.
type socket struct {
	fd    int
	file  *os.File
	raw   syscall.RawConn
	spent bool // an answer or an error may yet come, or its port is somebody's: not to be used again
}

// openSocket makes a socket in the calling thread's namespace. Its error queue
// is on, and packets are not fragmented.
func openSocket(v6 bool, kind, protocol int) (int, error) {
	domain := unix.AF_INET
	if v6 {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return -1, err
	}
	if v6 {
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVERR, 1),
			unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE))
	} else {
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVERR, 1),
			unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE))
	}
	if v6 && kind != unix.SOCK_RAW {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY, 1)) // it hears nothing of IPv4
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// socket is the probe's socket, which a survey has made already, or a new one.
func (a *asking) socket() (fd int, err error) {
	if a.made != nil {
		fd, a.made = *a.made, nil
		return fd, nil
	}
	err = a.from.Do(func() error {
		fd, err = a.open()
		return err
	})
	return fd, err
}

// open makes the probe's socket; one for connections is bound. The calling thread is in the asker's namespace.
func (a *asking) open() (int, error) {
	if a.probe.kind.socket == unix.SOCK_STREAM {
		return a.openBound()
	}
	fd, err := a.source.open(a.addr.Is6(), a.probe.kind.socket, a.probe.kind.transport) // it is bound right before it is connected
	if err != nil {
		return -1, a.probe.unspeakable(err)
	}
	return fd, nil
}

// openBound makes a socket for connections, and binds it. The calling thread is in the asker's namespace.
func (a *asking) openBound() (int, error) {
	for {
		fd, err := a.source.open(a.addr.Is6(), unix.SOCK_STREAM, 0)
		if err != nil {
			return -1, fmt.Errorf("open socket: %w", err)
		}
		fresh, err := a.bind(fd)
		if fresh {
			return fd, nil
		}
		_ = unix.Close(fd)
		if err != nil {
			return -1, err
		}
	}
}

// polled hands a descriptor to the poller; the socket owns it from then on.
func polled(fd int) (*socket, error) {
	file := os.NewFile(uintptr(fd), "probe")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &socket{fd: fd, file: file, raw: raw}, nil
}

func (s *socket) close() { _ = s.file.Close() }

// past is a deadline that is over.
var past = time.Unix(1, 0)

// wait calls try, again whenever the socket becomes ready, and once more at the
// end, until it says that it is done or the deadline is over (false), or the context.
func (s *socket) wait(ctx context.Context, deadline time.Time, write bool, try func() bool) (done bool, err error) {
	if try() {
		return true, nil
	}
	if err := s.file.SetDeadline(deadline); err != nil {
		return false, err
	}
	if ctx.Done() != nil {
		over := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			_ = s.file.SetDeadline(past)
			close(over)
		})
		defer func() {
			if !stop() {
				<-over // else it would end whoever waits next
			}
		}()
	}
	attempt := func(uintptr) bool {
		done = try()
		return done
	}
	if write {
		err = s.raw.Write(attempt)
	} else {
		err = s.raw.Read(attempt)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// On a busy machine both may have come by the time that this runs.
		done, err = done || try(), nil
	}
	return done, err
}

// await reads from the probe's socket until that is done, and ends the probe as silent where
// nothing else has ended it.
func (a *asking) await(s *socket, read func() (done bool, err error)) error {
	var failure error
	done, err := a.wait(s, false, func() (done bool) {
		done, failure = read()
		return done
	})
	switch {
	case err != nil || failure != nil:
		return firstError(failure, err)
	case !done || a.result.Outcome == 0:
		return a.silence()
	}
	return nil
}

// sockaddr is the address that is asked, with the probe's port.
func (a *asking) sockaddr() unix.Sockaddr {
	if a.addr.Is4() {
		return &unix.SockaddrInet4{Addr: a.addr.As4(), Port: int(a.probe.port)}
	}
	return &unix.SockaddrInet6{Addr: a.addr.As16(), Port: int(a.probe.port), ZoneId: a.scope}
}

func addrPortOf(from unix.Sockaddr) netip.AddrPort {
	switch from := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(from.Addr), uint16(from.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(from.Addr), uint16(from.Port))
	}
	return netip.AddrPort{}
}
