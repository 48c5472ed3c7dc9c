package probes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// TCP asks by connecting to a port. Where a responder of Serve answers, it signs.
// The kernel repeats a request for a connection that nobody answers after one
// second, three and seven: with a longer bound a later one may be answered. It
// does not tell of one that an output rule of the asker's own drops: that is Silent.
func TCP(port uint16) Probe { return Probe{kind: tcpKind, port: port} }

var tcpKind = &kind{
	name:     "tcp",
	ports:    true,
	protocol: wire.TCP,
	socket:   unix.SOCK_STREAM,
	ask:      (*asking).tcp,
	framed:   (*asking).framed,
	serve:    serveTCP,
	silence:  "what became of it is not known, nor whether a rule of the source's own dropped it",
}

// tcp asks by connecting.
func (a *asking) tcp() error {
	if a.line != nil && a.line.socket != nil {
		return a.speak()
	}
	fd, err := a.socket()
	if err != nil {
		return a.refusedLocally(err)
	}
	// Closing sends a reset: no connection lingers in TIME_WAIT, at neither end.
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	s, err := polled(fd)
	if err != nil {
		return err
	}
	defer a.release(s)
	if err := firstError(a.sequence(fd), a.keep(fd)); err != nil {
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

// isn is the sequence number that the probe's packets are known by; false where nobody is to know
// them.
func (a *asking) isn() (isn uint32, known bool) {
	switch {
	case a.watched != nil:
		return a.watched.trail.ISN(), true
	case watch.Covering():
		return watch.Sequence(), true
	}
	return 0, false
}

// sequence gives a connection the sequence number to begin with that its packets are
// known by (TCP_REPAIR, tcp(7)), where somebody is to know them.
func (a *asking) sequence(fd int) error {
	isn, known := a.isn()
	if !known {
		return nil
	}
	const sending, off = 2, -1 // TCP_SEND_QUEUE, TCP_REPAIR_OFF_NO_WP: linux/tcp.h
	err := errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_REPAIR, 1),
		unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_REPAIR_QUEUE, sending),
		unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_QUEUE_SEQ, int(isn)),
		unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_REPAIR, off))
	if err != nil {
		return fmt.Errorf("choose the sequence number: %w", err)
	}
	return nil
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
	switch failure := unix.Errno(errno); {
	case a.probe.words != nil && (failure == unix.ECONNRESET || failure == unix.EPIPE):
		// It was made, and reset since; what came before can be read.
	case errno != 0:
		return a.notConnected(failure)
	}
	if metItself(s.fd) {
		return a.notConnected(unix.ECONNREFUSED)
	}
	return a.connected(s)
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

// serveTCP answers on every address, of both families.
func serveTCP(node *harness.Node, p Probe, running *sync.WaitGroup) (closers []func(), err error) {
	listener, err := node.Listen(context.Background(), "tcp", netip.AddrPortFrom(netip.Addr{}, p.port))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	running.Go(func() { answerStreams(ctx, listener, signature(node), running) })
	return []func(){func() { _ = listener.Close(); stop() }}, nil
}

// streamBound is how long a connected asker may take over its first request.
const streamBound = 5 * time.Second

// answerStreams answers until the listener is closed; connections that are
// still open then end with ctx.
func answerStreams(ctx context.Context, listener net.Listener, name string, running *sync.WaitGroup) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		running.Go(func() {
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(streamBound))
			for request := make([]byte, requestSize); ; { // the asker hangs up first
				if _, err := io.ReadFull(conn, request); err != nil {
					return
				}
				answer, ok := answerTo(request, name)
				if !ok {
					_, _ = io.Copy(io.Discard, conn)
					return
				}
				if _, err := conn.Write(answer); err != nil {
					return
				}
				_ = conn.SetDeadline(time.Time{}) // it may be one that lives: see Connect
			}
		})
	}
}
