package probes

import (
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// An ICMP error is no end of a TCP connection that is made (RFC 1122, 4.2.3.9): the kernel tells
// the program of it once, and goes on sending again what was lost.

// lives says whether a connection goes on, whatever error a program was told of.
func lives(fd int) bool {
	const closed = 7 // TCP_CLOSE in net/tcp_states.h
	info, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
	return err == nil && info.State != closed
}

// softError is the error that the kernel was told of about a connection that lives, and has told
// no program yet; 0 is none. Of one that came while the connection was in use (in the call that sent
// what was turned back, on a link of this machine) no program is told but by this.
func softError(fd int) unix.Errno {
	if !lives(fd) {
		return 0
	}
	errno, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	return unix.Errno(errno)
}

// forgetErrors takes away those that came of what was said before.
func forgetErrors(fd int) {
	for softError(fd) != 0 {
	}
}

// waitOver waits for what comes over a connection that was made before, or for an error about it,
// which it returns.
func (a *asking) waitOver(s *socket, try func() bool) (done bool, soft unix.Errno, err error) {
	const most = 200 * time.Millisecond // the kernel sends no sooner again what was lost
	for pause := firstLook; ; pause = min(pause*later, most) {
		if done, err = a.pause(s, pause, try); done || err != nil || a.ctx.Err() != nil {
			return done, 0, err
		}
		if soft = softError(s.fd); soft != 0 || !time.Now().Before(a.deadline) {
			return false, soft, nil
		}
	}
}

// turnedBack ends a probe over a connection that lives, and of which an ICMP error came. Who
// has sent that the kernel does not tell: the asker's own did where it has no way to go.
func (a *asking) turnedBack(errno unix.Errno) error {
	leaves, err := a.leaves()
	if err != nil {
		return err
	}
	a.result.Errno = errno
	if leaves {
		a.end(Rejected, netip.Addr{})
	} else {
		a.end(Unsent, netip.Addr{})
	}
	return nil
}

// leaves says whether the asker's own kernel has a way for the probe, and a neighbour there.
func (a *asking) leaves() (leaves bool, err error) {
	q := a.source.ask(inspect.Question{
		To: a.addr, Out: int(a.scope), Protocol: unix.IPPROTO_TCP, SourcePort: a.port, Port: a.probe.port, From: a.source.addr.WithZone(""),
	})
	err = look(a.from, func(ns inspect.Namespace) error {
		way, err := ns.Lookup(q)
		if err != nil || way.Errno != 0 {
			return err
		}
		neighbours, err := ns.Neighbours()
		s := inspect.State{Neighbours: neighbours}
		leaves = s.Neighbour(way.Out, way.Next(a.addr))&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) == 0
		return err
	})
	return leaves, err
}
