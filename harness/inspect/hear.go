package inspect

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Hear opens a netlink socket in the calling thread's namespace that hears groups of a
// protocol (NETLINK_ROUTE and RTNLGRP_LINK, say; netlink(7)). It does not block. The caller
// closes it. The error is an errno, with the group that could not be joined.
func Hear(protocol int, groups ...int) (fd int, err error) {
	const kind = unix.SOCK_RAW | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	if fd, err = unix.Socket(unix.AF_NETLINK, kind, protocol); err != nil {
		return -1, err
	}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	for _, group := range groups {
		if err != nil {
			break
		}
		if err = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group); err != nil {
			err = fmt.Errorf("join group %d: %w", group, err)
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Drain empties a socket of Hear's of which only counts whether something came, and says
// whether something did: that there was more than it had room for (ENOBUFS) is news too.
func Drain(fd int) (told bool) {
	var buf [1]byte
	for {
		switch _, _, err := unix.Recvfrom(fd, buf[:], unix.MSG_TRUNC); {
		case err == nil, errors.Is(err, unix.ENOBUFS):
			told = true
		case errors.Is(err, unix.EINTR):
		default:
			return told
		}
	}
}
