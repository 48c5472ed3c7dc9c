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
	// What is joined as the socket is bound costs one step, in which all the machine's netlink waits;
	// groups that a kernel lacks would be left out there in silence.
	atOnce := func(group int) bool { return protocol == unix.NETLINK_ROUTE && group <= unix.RTNLGRP_IPV6_RULE }
	var bound uint32
	for _, group := range groups {
		if atOnce(group) {
			bound |= 1 << (group - 1)
		}
	}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: bound})
	for _, group := range groups {
		if err != nil || atOnce(group) {
			continue
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
