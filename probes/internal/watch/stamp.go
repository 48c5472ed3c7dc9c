package watch

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// stamps makes the kernel stamp packets as they come. It begins to some
// milliseconds after a first socket asked it to (netstamp_work in net/core/dev.c),
// and goes on until the last one closes. Until then a packet gets the time when it
// is read: what two taps saw is in any order.
type stamps struct{ fd int }

// stampBound is how long the kernel may take to begin.
const stampBound = time.Second

// askForStamps is to be called early, and await when the taps are open.
func askForStamps() (s stamps, err error) {
	done := make(chan bool)
	go func() { // in the process's own namespace, wherever the caller is
		defer close(done)
		s.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	}()
	<-done
	if err != nil {
		return s, fmt.Errorf("ask for packets to be stamped: open a socket: %w", err)
	}
	if err = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		err = fmt.Errorf("ask for packets to be stamped: SO_TIMESTAMPNS: %w", err)
	} else if err = unix.Bind(s.fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		err = fmt.Errorf("ask for packets to be stamped: bind to 127.0.0.1: %w", err)
	}
	if err != nil {
		s.close()
	}
	return s, err
}

// Stamped has the kernel stamp packets as they come, in all namespaces, until done is called.
func Stamped() (done func(), err error) {
	s, err := askForStamps()
	if err != nil {
		return nil, err
	}
	if err := s.await(); err != nil {
		s.close()
		return nil, err
	}
	return s.close, nil
}

func (s stamps) close() { _ = unix.Close(s.fd) }

// await returns when the kernel stamps.
func (s stamps) await() error {
	if err := s.see(); err != nil {
		return fmt.Errorf("wait for packets to be stamped: %w", err)
	}
	return nil
}

// see sends datagrams to the socket itself until one was stamped before it was read.
func (s stamps) see() error {
	self, err := unix.Getsockname(s.fd)
	if err != nil {
		return err
	}
	control := make([]byte, 128)
	for deadline := time.Now().Add(stampBound); time.Now().Before(deadline); {
		if err := unix.Sendto(s.fd, []byte{0}, 0, self); err != nil {
			return err
		}
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}, 10); err != nil && err != unix.EINTR {
			return err
		}
		read := time.Now()
		_, n, _, _, err := unix.Recvmsg(s.fd, make([]byte, 1), control, unix.MSG_DONTWAIT)
		if err != nil {
			continue
		}
		if at, ok := StampOf(control[:n]); ok && at.Before(read) {
			return nil
		}
	}
	return unix.ETIMEDOUT
}

// StampOf is the time that the kernel gave a packet.
func StampOf(control []byte) (time.Time, bool) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return time.Time{}, false
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:]))), true
		}
	}
	return time.Time{}, false
}
